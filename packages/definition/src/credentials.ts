/** The password in an address such as `https://me:secret@host/`, as written and as meant. */
export function credentialsIn(address: string): string[] {
  const password = URL.canParse(address) ? new URL(address).password : '';
  if (password === '') return [];
  try {
    return [password, decodeURIComponent(password)];
  } catch {
    return [password];
  }
}

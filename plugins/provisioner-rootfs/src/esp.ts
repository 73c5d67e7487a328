import type { Sandbox } from './sandbox.js';

/**
 * Makes the FAT32 image of the EFI system partition from `/boot/efi` of the tree. mtools takes the time of directories
 * from SOURCE_DATE_EPOCH and that of files from the files; names go in by order, so that equal trees give equal bytes.
 * `$1` image, `$2` bytes, `$3` volume id, `$4` tree, `$5` seconds since 1970.
 */
const MAKE = `
image=$1 tree=$4
rm -f "$image"
truncate -s "$2" "$image"
mkfs.fat --invariant -F 32 -s 1 -i "$3" -n ESP "$image" >/dev/null
cd "$tree"
find . -exec touch --no-dereference --date="@$5" {} +
find . -mindepth 1 -type d -printf '%P\\n' | LC_ALL=C sort | while read -r name; do
  mmd -i "$image" "::$name"
done
find . -type f -printf '%P\\n' | LC_ALL=C sort | while read -r name; do
  mcopy -m -i "$image" "$name" "::$name"
done
`;

export async function makeEsp(
  sandbox: Sandbox,
  image: string,
  { bytes, volumeId, time }: { readonly bytes: number; readonly volumeId: string; readonly time: number },
): Promise<void> {
  await sandbox.shell(MAKE, [image, String(bytes), volumeId, `${sandbox.root}/boot/efi`, String(time)], {
    env: { MTOOLS_SKIP_CHECK: '1' },
  });
}

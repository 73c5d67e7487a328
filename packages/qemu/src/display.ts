/** What programs with windows need to find the screen of the person at this computer. */
const VARIABLES = ['DISPLAY', 'WAYLAND_DISPLAY', 'XAUTHORITY', 'XDG_RUNTIME_DIR', 'DBUS_SESSION_BUS_ADDRESS'] as const;

/** Variables of our own environment that QEMU needs to show this display; none where it shows nothing. */
export function displayEnvironment(display: string, environment = process.env): Record<string, string> {
  if (display === 'none') return {};
  return Object.fromEntries(
    VARIABLES.flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/**
 * Ends all processes that carry the mark in their environment: the script, what it started, and what these started, however
 * far they moved away. First politely, a second later for good, again until none is left that was just being born. `$1` mark.
 * Its own environment does not carry the mark, and its last child's neither.
 */
export const KILL_ALL = `
mark=POLYVISOR_COMMAND=$1
if printf 'a\\0' | grep -qz a 2>/dev/null; then
  marked() { grep -lzs -e "^$mark\\$" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }
else
  marked() {
    for process in /proc/[0-9]*; do
      [ -e "$process/exe" ] || continue
      case $(tr '\\0' '\\n' <"$process/environ" 2>/dev/null) in *"$mark"*) echo "\${process#/proc/}" ;; esac
    done
  }
fi
signal=TERM
round=0
while [ "$round" -lt 20 ]; do
  found=$(marked)
  [ -n "$found" ] || exit 0
  for process in $found; do kill -s "$signal" "$process" 2>/dev/null; done
  if [ "$round" -eq 0 ]; then sleep 1; fi
  signal=KILL
  round=$((round + 1))
done
exit 1
`;

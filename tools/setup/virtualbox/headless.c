/*
 * VBoxHeadless without the kernel driver. The one of the package needs root's rights and the driver only to open it; this one
 * has the support library of VirtualBox do without, and then hands over to the same VBoxHeadless.so. Machines run in
 * VirtualBox's interpreter (`modifyvm NAME --vm-execution-engine interpreter`).
 */
#include <stdio.h>

enum { DRIVERLESS = 1 << 2, DRIVERLESS_INTERPRETER_ALLOWED = 1 << 3 };

/* The first two of VBoxRT.so, the last of VBoxHeadless.so. */
int RTR3InitExe(int argc, char ***argv, unsigned flags);
int SUPR3InitEx(unsigned flags, void **session);
int TrustedMain(int argc, char **argv, char **environment);

int main(int argc, char **argv, char **environment)
{
    int code = RTR3InitExe(argc, &argv, 0);
    if (code >= 0)
        code = SUPR3InitEx(DRIVERLESS | DRIVERLESS_INTERPRETER_ALLOWED, NULL);
    if (code < 0) {
        fprintf(stderr, "VBoxHeadless: VirtualBox does not start without its driver (%d)\n", code);
        return 1;
    }
    return TrustedMain(argc, argv, environment);
}

/*
 * Debian's VirtualBox knows one place, /usr/lib/virtualbox, and loads its parts only from directories that belong to root.
 * Each of its programs loads this library first, whose functions then stand for those of VBoxRT.so: the place is the
 * directory APP, which needs no root. Codes below 0 are VirtualBox's errors.
 */
#include <string.h>

enum { OK = 0, TOO_LONG = -41 /* VERR_BUFFER_OVERFLOW */ };

static int answer(char *path, size_t size)
{
    if (strlen(APP) >= size)
        return TOO_LONG;
    strcpy(path, APP);
    return OK;
}

int RTPathAppPrivateArch(char *path, size_t size) { return answer(path, size); }
int RTPathAppPrivateArchTop(char *path, size_t size) { return answer(path, size); }
int RTPathAppPrivateNoArch(char *path, size_t size) { return answer(path, size); }
int RTPathSharedLibs(char *path, size_t size) { return answer(path, size); }

int RTLdrLoad(const char *path, void **module);

/* The same without looking at the owners of the file and of all directories above it. */
int SUPR3HardenedLdrLoadPlugIn(const char *path, void **module, void *reason)
{
    (void)reason;
    return RTLdrLoad(path, module);
}

int SUPR3HardenedVerifyPlugIn(const char *path, void *reason)
{
    (void)path;
    (void)reason;
    return OK;
}

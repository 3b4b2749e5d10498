/* A file to compile, so that the build sees a change of the header: it does not for a module map alone. */
#include "text.h"

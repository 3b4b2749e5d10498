#include "CObhut.h"

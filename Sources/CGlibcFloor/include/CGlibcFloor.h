/* Empty: nothing calls this target by name, see hypotf.c. */

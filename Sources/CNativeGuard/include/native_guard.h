/* Nothing to call: with this target in a program, calls of foreign functions (native_call.h) are made within what
 * catches C++ exceptions. It is apart because it needs libstdc++, which the worker program does without: an exception
 * that leaves a function there is the end of the child, as its runtime wants. */

/* Built twice, with another NAME: both export `helper` and `state`, and neither may see the other's. */
const char *name = NAME;
int state;
const char *helper(void) { return name; }
const char *who(void) { return helper(); }
int count(void) { return ++state; }

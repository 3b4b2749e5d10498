/* Needs what no library has. */
int not_anywhere(void);
int needy(void) { return not_anywhere(); }

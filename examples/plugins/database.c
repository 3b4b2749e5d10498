/* SQLite behind a small adapter: a process that has one database open and answers requests with SQL by the rows.
 *
 *     cc -shared -fPIC -I include database.c -o app/libdatabase.so -l:libsqlite3.so.0
 */
#include <obhut_plugin.h>

/* Of sqlite3.h, so that the library alone has to be there. */
typedef struct sqlite3 sqlite3;
extern int sqlite3_open(const char *path, sqlite3 **database);
extern int sqlite3_close(sqlite3 *database);
extern int sqlite3_exec(sqlite3 *database, const char *sql, int (*row)(void *, int, char **, char **), void *user, char **text);
extern const char *sqlite3_errmsg(sqlite3 *database);
extern void sqlite3_free(void *memory);

typedef struct rows {
    obhut_writer values;
    uint32_t count;
} rows;

/* Each row is a list of texts. */
static int add_row(void *user, int columns, char **values, char **names) {
    rows *found = user;
    (void)names;
    found->count++;
    obhut_write_array(&found->values, (uint32_t)columns);
    for (int i = 0; i < columns; i++) {
        if (values[i]) obhut_write_string(&found->values, values[i]);
        else obhut_write_nil(&found->values);
    }
    return found->values.failed;
}

static void answer(obhut_context *context, sqlite3 *database, const obhut_event *event) {
    obhut_reader reader = obhut_reader_of(event->payload, event->length);
    obhut_writer writer = OBHUT_WRITER_INIT;
    rows found = {OBHUT_WRITER_INIT, 0};
    obhut_value value;
    char *sql = NULL, *text = NULL;
    bool is_error = true;
    if (obhut_read(&reader, &value) && value.kind == OBHUT_VALUE_STRING) sql = strndup((const char *)value.bytes, value.length);
    if (!sql) {
        obhut_write_string(&writer, "a request is the text of a statement");
    } else if (sqlite3_exec(database, sql, add_row, &found, &text) != 0) {
        obhut_write_string(&writer, text ? text : "the statement failed");
    } else {
        is_error = false;
        obhut_write_array(&writer, found.count);
        obhut_write_raw(&writer, found.values.bytes, found.values.length);
    }
    obhut_context_reply(context, event->from, event->request, writer.bytes, writer.length, is_error);
    obhut_writer_free(&writer);
    obhut_writer_free(&found.values);
    sqlite3_free(text);
    free(sql);
}

obhut_status database_main(obhut_context *context, const char *path, const char *name) {
    sqlite3 *database = NULL;
    obhut_event event = OBHUT_EVENT_INIT;
    if (sqlite3_open(path, &database) != 0) {
        obhut_fail(context, sqlite3_errmsg(database));
        sqlite3_close(database);
        return OBHUT_FAILED;
    }
    obhut_context_register(context, name);
    obhut_context_ready(context);
    while (obhut_context_receive(context, -1, &event) == OBHUT_OK && event.kind != OBHUT_MESSAGE_CANCEL) {
        if (event.kind == OBHUT_MESSAGE_DATA && event.request) answer(context, database, &event);
    }
    sqlite3_close(database);
    return OBHUT_OK;
}

static const obhut_plugin_entry entries[] = {
    {"database", "database_main", "status(context, string, string)", OBHUT_MODE_FUNCTION},
};
OBHUT_PLUGIN("database", "1.0.0", entries, NULL)

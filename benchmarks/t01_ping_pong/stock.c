/* What liblua alone costs in a round trip: the same Lua as ping_pong.lua, in two stock states on one thread, with no more C than
 * it takes to hand a number over. No locks or atomics, limits, signals but messages, timers, accounting or preemption.
 *
 *   stock TRIPS
 *
 * Prints {"round_trip": nanoseconds}. Nothing of the library is in it. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "driver.h"

static const char echo_code[] =
    "local inbox = process.inbox()\n"
    "while true do\n"
    "    local message = inbox:receive()\n"
    "    process.send(message:from(), 'pong', message:payload():data())\n"
    "end\n";

static const char ping_code[] =
    "local echo, trips = ...\n"
    "local inbox = process.inbox()\n"
    "for number = 1, trips do\n"
    "    process.send(echo, 'ping', number)\n"
    "    local answer = inbox:receive()\n"
    "    assert(answer:from() == echo)\n"
    "    assert(answer:payload():data() == number)\n"
    "end\n";

struct message {
    struct message *next;
    int from;
    lua_Integer value;
};

static struct process {
    lua_State *main; /* a coroutine of the state */
    struct message *oldest, **end;
    char pid[32];
    int is_queued;
} processes[2];

enum { ECHO, PING };

static struct message *unused;
static int running;

/* The last digit of a pid's text says where it is. */
static int send(lua_State *L)
{
    size_t length;
    const char *pid = luaL_checklstring(L, 1, &length);
    int to = pid[length - 2] - '0';
    struct process *other = &processes[to];
    struct message *message = unused;
    luaL_checkstring(L, 2);
    if (message) unused = message->next;
    else if (!(message = malloc(sizeof *message))) return luaL_error(L, "no memory");
    *message = (struct message){NULL, running, luaL_checkinteger(L, 3)};
    *other->end = message;
    other->end = &message->next;
    other->is_queued = 1;
    lua_pushboolean(L, 1);
    return 1;
}

/* The oldest message, as a userdata; its metatable is an upvalue. */
static int take(lua_State *L)
{
    struct process *me = &processes[running];
    struct message *message = me->oldest, *copy = lua_newuserdatauv(L, sizeof *copy, 0);
    me->oldest = message->next;
    if (!me->oldest) me->end = &me->oldest;
    *copy = *message;
    message->next = unused;
    unused = message;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setmetatable(L, -2);
    lua_pushboolean(L, 1);
    return 2;
}

static int go_on(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    return take(L);
}

static int receive(lua_State *L)
{
    if (processes[running].oldest) return take(L);
    return lua_yieldk(L, 0, 0, go_on);
}

static int from(lua_State *L)
{
    lua_pushstring(L, processes[((struct message *)lua_touserdata(L, 1))->from].pid);
    return 1;
}

/* The message itself, as what it carries. */
static int payload(lua_State *L)
{
    lua_settop(L, 1);
    return 1;
}

static int data(lua_State *L)
{
    lua_pushinteger(L, ((struct message *)lua_touserdata(L, 1))->value);
    return 1;
}

static int inbox(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    return 1;
}

static void make(int number, const char *code)
{
    struct process *process = &processes[number];
    lua_State *L = luaL_newstate();
    if (!L) fail("no memory");
    luaL_openlibs(L);
    snprintf(process->pid, sizeof process->pid, "{ping_pong:processes|0x0000%d}", number);
    process->end = &process->oldest;

    lua_newtable(L); /* process */
    lua_pushcfunction(L, send);
    lua_setfield(L, -2, "send");
    lua_newuserdatauv(L, 8, 0); /* the inbox */
    luaL_newlib(L, ((luaL_Reg[]){{NULL, NULL}}));
    lua_newtable(L); /* its methods */
    luaL_newlib(L, ((luaL_Reg[]){{NULL, NULL}}));
    luaL_newlib(L, ((luaL_Reg[]){{"from", from}, {"payload", payload}, {"data", data}, {NULL, NULL}}));
    lua_setfield(L, -2, "__index");
    lua_pushcclosure(L, receive, 1);
    lua_setfield(L, -2, "receive");
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pushcclosure(L, inbox, 1);
    lua_setfield(L, -2, "inbox");
    lua_setglobal(L, "process");

    process->main = lua_newthread(L);
    if (luaL_loadstring(process->main, code)) fail(lua_tostring(process->main, -1));
}

/* Runs it until it waits. Answers whether it has ended. */
static int step(int number, int arguments)
{
    int results;
    running = number;
    processes[number].is_queued = 0;
    int status = lua_resume(processes[number].main, NULL, arguments, &results);
    if (status != LUA_OK && status != LUA_YIELD) fail(lua_tostring(processes[number].main, -1));
    return status == LUA_OK;
}

int main(int count, char **arguments)
{
    if (count != 2) fail("usage: stock TRIPS");
    long trips = atol(arguments[1]);
    if (trips < 1) fail("how many round trips?");
    make(ECHO, echo_code);
    make(PING, ping_code);
    step(ECHO, 0);
    lua_pushstring(processes[PING].main, processes[ECHO].pid);
    lua_pushinteger(processes[PING].main, trips);
    int64_t start = now();
    int has_ended = step(PING, 2);
    while (!has_ended) {
        if (processes[ECHO].is_queued) step(ECHO, 0);
        else if (processes[PING].is_queued) has_ended = step(PING, 0);
        else fail("both wait");
    }
    printf("{\"round_trip\": %f}\n", (double)(now() - start) / (double)trips);
    return 0;
}

/* What liblua alone costs where a timer is armed: the same loop as timers.lua, in stock states, with no more C than it takes to make
 * an object that has a deadline. Nothing is due in any order, wakes anybody, or is found again by the collector.
 *
 *   stock STATES TIMERS
 *
 * Prints {"arming": [nanoseconds of one in each of the states]}. Nothing of the library is in it. */
#include <lauxlib.h>
#include <lua.h>

#include "driver.h"

static const char code[] =
    "local after, now, timers = ...\n"
    "local kept = {}\n"
    "for number = 1, timers do kept[number] = false end\n"
    "local hour = 3600000000000\n"
    "local start = now()\n"
    "for number = 1, timers do kept[number] = after(hour + number * 1000000) end\n"
    "return (now() - start) / timers, kept\n";

/* As large as the handle and the record of a timer's channel. */
struct timer {
    int64_t deadline;
    uint64_t rest[6];
};

/* The metatable is an upvalue. */
static int after(lua_State *L)
{
    struct timer *timer = lua_newuserdatauv(L, sizeof *timer, 0);
    *timer = (struct timer){.deadline = now() + luaL_checkinteger(L, 1)};
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setmetatable(L, -2);
    return 1;
}

static int read_clock(lua_State *L)
{
    lua_pushinteger(L, now());
    return 1;
}

/* A state with its timers, which stay. */
static double arm(long timers)
{
    lua_State *L = luaL_newstate();
    if (!L || luaL_loadstring(L, code)) fail("no state");
    lua_newtable(L);
    lua_pushcclosure(L, after, 1);
    lua_pushcfunction(L, read_clock);
    lua_pushinteger(L, timers);
    if (lua_pcall(L, 3, 2, 0)) fail(lua_tostring(L, -1));
    return lua_tonumber(L, -2);
}

int main(int count, char **arguments)
{
    if (count != 3) fail("usage: stock STATES TIMERS");
    long states = atol(arguments[1]), timers = atol(arguments[2]);
    if (states < 1 || timers < 1) fail("how many?");
    printf("{\"arming\": [");
    for (long i = 0; i < states; i++) printf("%s%f", i ? ", " : "", arm(timers));
    printf("]}\n");
    return 0;
}

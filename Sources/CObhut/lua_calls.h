/* Private to this target: Lua's headers with every call redirected through the table that lua_table.c fills.
 * A function that is missing here fails to link, since nothing links liblua. */
#ifndef OBH_LUA_CALLS_H
#define OBH_LUA_CALLS_H

#include <lua5.4/lua.h>

#include <lua5.4/lauxlib.h>
#include <lua5.4/lualib.h>

#define OBH_LUA_CALLS(X) \
    X(lua_newstate) X(lua_atpanic) X(lua_newthread) X(lua_resetthread) X(lua_absindex) X(lua_gettop) \
    X(lua_settop) X(lua_pushvalue) X(lua_rotate) X(lua_copy) X(lua_checkstack) X(lua_xmove) X(lua_isinteger) \
    X(lua_type) X(lua_typename) X(lua_tonumberx) X(lua_tointegerx) X(lua_toboolean) X(lua_tolstring) \
    X(lua_rawlen) X(lua_touserdata) X(lua_tothread) X(lua_tocfunction) X(lua_topointer) X(lua_rawequal) \
    X(lua_pushnil) X(lua_pushnumber) X(lua_pushinteger) X(lua_pushlstring) X(lua_pushstring) X(lua_pushfstring) \
    X(lua_pushcclosure) X(lua_pushboolean) X(lua_pushlightuserdata) X(lua_pushthread) X(lua_getfield) \
    X(lua_gettable) X(lua_rawget) X(lua_rawgeti) X(lua_rawgetp) X(lua_createtable) X(lua_newuserdatauv) X(lua_getmetatable) \
    X(lua_getiuservalue) X(lua_setfield) X(lua_rawset) X(lua_rawseti) X(lua_rawsetp) X(lua_setmetatable) \
    X(lua_setiuservalue) X(lua_callk) X(lua_pcallk) X(lua_load) X(lua_dump) X(lua_yieldk) X(lua_resume) \
    X(lua_status) X(lua_isyieldable) X(lua_gc) X(lua_error) X(lua_next) X(lua_concat) X(lua_getstack) \
    X(lua_getinfo) X(lua_sethook) X(lua_gethook) X(lua_gethookmask) X(lua_gethookcount) X(lua_getupvalue) X(lua_close) X(lua_version) \
    X(luaL_checktype) X(luaL_checkany) X(luaL_getmetafield) X(luaL_optlstring) X(luaL_typeerror) X(luaL_where) \
    X(luaL_error) X(luaL_tolstring) X(luaL_loadbufferx) X(luaopen_base) X(luaopen_string) X(luaopen_table) \
    X(luaopen_math) X(luaopen_utf8) X(luaopen_os) X(luaopen_debug)

struct obh_lua {
#define X(name) __typeof__(&name) name;
    OBH_LUA_CALLS(X)
#undef X
};

/* Written once, by obh_lua_open. */
extern struct obh_lua obh_lua __attribute__((visibility("hidden")));

#define lua_newstate (obh_lua.lua_newstate)
#define lua_atpanic (obh_lua.lua_atpanic)
#define lua_newthread (obh_lua.lua_newthread)
#define lua_resetthread (obh_lua.lua_resetthread)
#define lua_absindex (obh_lua.lua_absindex)
#define lua_gettop (obh_lua.lua_gettop)
#define lua_settop (obh_lua.lua_settop)
#define lua_pushvalue (obh_lua.lua_pushvalue)
#define lua_rotate (obh_lua.lua_rotate)
#define lua_copy (obh_lua.lua_copy)
#define lua_checkstack (obh_lua.lua_checkstack)
#define lua_xmove (obh_lua.lua_xmove)
#define lua_isinteger (obh_lua.lua_isinteger)
#define lua_type (obh_lua.lua_type)
#define lua_typename (obh_lua.lua_typename)
#define lua_tonumberx (obh_lua.lua_tonumberx)
#define lua_tointegerx (obh_lua.lua_tointegerx)
#define lua_toboolean (obh_lua.lua_toboolean)
#define lua_tolstring (obh_lua.lua_tolstring)
#define lua_rawlen (obh_lua.lua_rawlen)
#define lua_touserdata (obh_lua.lua_touserdata)
#define lua_tothread (obh_lua.lua_tothread)
#define lua_tocfunction (obh_lua.lua_tocfunction)
#define lua_topointer (obh_lua.lua_topointer)
#define lua_rawequal (obh_lua.lua_rawequal)
#define lua_pushnil (obh_lua.lua_pushnil)
#define lua_pushnumber (obh_lua.lua_pushnumber)
#define lua_pushinteger (obh_lua.lua_pushinteger)
#define lua_pushlstring (obh_lua.lua_pushlstring)
#define lua_pushstring (obh_lua.lua_pushstring)
#define lua_pushfstring (obh_lua.lua_pushfstring)
#define lua_pushcclosure (obh_lua.lua_pushcclosure)
#define lua_pushboolean (obh_lua.lua_pushboolean)
#define lua_pushlightuserdata (obh_lua.lua_pushlightuserdata)
#define lua_pushthread (obh_lua.lua_pushthread)
#define lua_getfield (obh_lua.lua_getfield)
#define lua_gettable (obh_lua.lua_gettable)
#define lua_rawget (obh_lua.lua_rawget)
#define lua_rawgeti (obh_lua.lua_rawgeti)
#define lua_rawgetp (obh_lua.lua_rawgetp)
#define lua_createtable (obh_lua.lua_createtable)
#define lua_newuserdatauv (obh_lua.lua_newuserdatauv)
#define lua_getmetatable (obh_lua.lua_getmetatable)
#define lua_getiuservalue (obh_lua.lua_getiuservalue)
#define lua_setfield (obh_lua.lua_setfield)
#define lua_rawset (obh_lua.lua_rawset)
#define lua_rawseti (obh_lua.lua_rawseti)
#define lua_rawsetp (obh_lua.lua_rawsetp)
#define lua_setmetatable (obh_lua.lua_setmetatable)
#define lua_setiuservalue (obh_lua.lua_setiuservalue)
#define lua_callk (obh_lua.lua_callk)
#define lua_pcallk (obh_lua.lua_pcallk)
#define lua_load (obh_lua.lua_load)
#define lua_dump (obh_lua.lua_dump)
#define lua_yieldk (obh_lua.lua_yieldk)
#define lua_resume (obh_lua.lua_resume)
#define lua_status (obh_lua.lua_status)
#define lua_isyieldable (obh_lua.lua_isyieldable)
#define lua_gc (obh_lua.lua_gc)
#define lua_error (obh_lua.lua_error)
#define lua_next (obh_lua.lua_next)
#define lua_concat (obh_lua.lua_concat)
#define lua_getstack (obh_lua.lua_getstack)
#define lua_getinfo (obh_lua.lua_getinfo)
#define lua_sethook (obh_lua.lua_sethook)
#define lua_gethook (obh_lua.lua_gethook)
#define lua_gethookmask (obh_lua.lua_gethookmask)
#define lua_gethookcount (obh_lua.lua_gethookcount)
#define lua_getupvalue (obh_lua.lua_getupvalue)
#define lua_close (obh_lua.lua_close)
#define lua_version (obh_lua.lua_version)
#define luaL_checktype (obh_lua.luaL_checktype)
#define luaL_checkany (obh_lua.luaL_checkany)
#define luaL_getmetafield (obh_lua.luaL_getmetafield)
#define luaL_optlstring (obh_lua.luaL_optlstring)
#define luaL_typeerror (obh_lua.luaL_typeerror)
#define luaL_where (obh_lua.luaL_where)
#define luaL_error (obh_lua.luaL_error)
#define luaL_tolstring (obh_lua.luaL_tolstring)
#define luaL_loadbufferx (obh_lua.luaL_loadbufferx)
#define luaopen_base (obh_lua.luaopen_base)
#define luaopen_string (obh_lua.luaopen_string)
#define luaopen_table (obh_lua.luaopen_table)
#define luaopen_math (obh_lua.luaopen_math)
#define luaopen_utf8 (obh_lua.luaopen_utf8)
#define luaopen_os (obh_lua.luaopen_os)
#define luaopen_debug (obh_lua.luaopen_debug)

#endif

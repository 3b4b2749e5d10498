-module(spawn).
-export([main/1, leaf/1]).

main([SpawnsText]) ->
    Spawns = bench:int(SpawnsText),
    lives(Spawns div 10),
    Start = bench:now(),
    lives(Spawns),
    bench:report([{each, (bench:now() - Start) / Spawns}]).

lives(0) -> ok;
lives(Number) ->
    {Pid, Reference} = spawn_monitor(spawn, leaf, [Number]),
    receive {'DOWN', Reference, process, Pid, {result, Number}} -> ok end,
    lives(Number - 1).

%% As in the Lua, the result is what the watcher is told.
leaf(Number) -> exit({result, Number}).

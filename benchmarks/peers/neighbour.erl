-module(neighbour).
-export([main/1]).

main([PingsText]) ->
    Echo = spawn(fun echo/0),
    spawn(fun spin/0),
    timer:sleep(50),
    bench:report([{delays, [ping(Echo, Number) || Number <- lists:seq(1, bench:int(PingsText))]}]).

ping(Echo, Number) ->
    Start = bench:now(),
    receive after 1 -> ok end,
    Echo ! {self(), Number},
    receive {Echo, Number} -> ok end,
    bench:now() - Start - 1000000.

echo() -> receive {From, What} -> From ! {self(), What}, echo() end.

spin() -> spin().

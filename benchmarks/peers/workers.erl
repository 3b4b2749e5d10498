-module(workers).
-export([main/1, pairs/2, cpu/2]).

main([Work, CountText, AmountText]) ->
    Count = bench:int(CountText),
    Arguments = [self(), bench:int(AmountText)],
    Pids = [element(1, spawn_monitor(workers, list_to_atom(Work), Arguments)) || _ <- lists:seq(1, Count)],
    [receive {ready, Pid} -> ok end || Pid <- Pids],
    Start = bench:now(),
    [Pid ! go || Pid <- Pids],
    deaths(Count),
    bench:report([{time, bench:now() - Start}]).

deaths(0) -> ok;
deaths(Left) -> receive {'DOWN', _, process, _, normal} -> deaths(Left - 1) end.

ready(Parent) ->
    Parent ! {ready, self()},
    receive go -> ok end.

pairs(Parent, Trips) ->
    Echo = spawn_link(fun echo/0),
    ready(Parent),
    trips(Echo, Trips).

trips(Echo, 0) -> Echo ! stop;
trips(Echo, Number) ->
    Echo ! {self(), Number},
    receive {Echo, Number} -> trips(Echo, Number - 1) end.

echo() -> receive {From, What} -> From ! {self(), What}, echo(); stop -> ok end.

cpu(Parent, Size) ->
    ready(Parent),
    loop(Size, 0).

loop(0, _) -> ok;
loop(Number, Sum) -> loop(Number - 1, (Sum + Number) rem 1000003).

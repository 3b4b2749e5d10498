-module(ping_pong).
-export([main/1, echo/0]).

main([TripsText | Rest]) ->
    Trips = bench:int(TripsText),
    List = case Rest of [] -> none; [Size] -> lists:seq(1, bench:int(Size)) end,
    Echo = spawn(ping_pong, echo, []),
    trips(Echo, Trips div 10, List),
    Start = bench:now(),
    trips(Echo, Trips, List),
    bench:report([{round_trip, (bench:now() - Start) / Trips}]).

trips(_, 0, _) -> ok;
trips(Echo, Number, none) ->
    Echo ! {self(), Number},
    receive {Echo, Number} -> ok end,
    trips(Echo, Number - 1, none);
trips(Echo, Number, List) ->
    Echo ! {self(), List},
    receive {Echo, [1 | _]} -> ok end,
    trips(Echo, Number - 1, List).

echo() -> receive {From, What} -> From ! {self(), What}, echo() end.

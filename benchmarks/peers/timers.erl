-module(timers).
-export([main/1, holder/4]).

main([HoldersText, TimersText, SecondsText]) ->
    Holders = bench:int(HoldersText),
    Arguments = [self(), bench:int(TimersText), bench:int(SecondsText)],
    Pids = [element(1, spawn_monitor(timers, holder, Arguments ++ [1000 * Number div Holders]))
            || Number <- lists:seq(1, Holders)],
    Arming = [receive {armed, Pid, Each} -> Each end || Pid <- Pids],
    [Pid ! go || Pid <- Pids],
    Late = lists:append([receive {'DOWN', _, process, Pid, {late, Each}} -> Each end || Pid <- Pids]),
    bench:report([{arming, Arming}, {late, Late}]).

holder(Parent, Timers, Seconds, Phase) ->
    Start = bench:now(),
    arm(Timers),
    Parent ! {armed, self(), (bench:now() - Start) / Timers},
    receive go -> ok end,
    First = erlang:monotonic_time(millisecond) + 300 + Phase,
    exit({late, [wait(First + 1000 * Number) || Number <- lists:seq(0, Seconds - 1)]}).

arm(0) -> ok;
arm(Number) ->
    erlang:start_timer(3600000 + Number, self(), hour),
    arm(Number - 1).

wait(Due) ->
    Timer = erlang:start_timer(Due, self(), due, [{abs, true}]),
    receive {timeout, Timer, due} -> bench:now() - Due * 1000000 end.

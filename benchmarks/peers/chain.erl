-module(chain).
-export([main/1, member/2]).

main([LengthText]) ->
    Length = bench:int(LengthText),
    Root = spawn(chain, member, [self(), Length]),
    References = [receive {born, Pid} -> monitor(process, Pid) end || _ <- lists:seq(1, Length)],
    Start = bench:now(),
    Root ! fail,
    deaths(length(References)),
    bench:report([{all_dead, bench:now() - Start}]).

deaths(0) -> ok;
deaths(Left) -> receive {'DOWN', _, process, _, boom} -> deaths(Left - 1) end.

member(Observer, Left) ->
    if Left > 1 -> spawn_link(chain, member, [Observer, Left - 1]); true -> ok end,
    Observer ! {born, self()},
    receive fail -> exit(boom) end.

-module(flood).
-export([main/1]).

main(["flood", Text]) ->
    Messages = bench:int(Text),
    Self = self(),
    Sink = spawn(fun() -> Self ! {sum, take(Messages, 0)} end),
    Start = bench:now(),
    flood(Sink, Messages),
    Sum = Messages * (Messages + 1) div 2,
    receive {sum, Sum} -> ok end,
    bench:report([{each, (bench:now() - Start) / Messages}]);
main(["queued", LengthText, TimesText]) ->
    Length = bench:int(LengthText),
    Times = bench:int(TimesText),
    Self = self(),
    Sink = spawn(fun() -> patient(Self, Length - 1, Times) end),
    Start = bench:now(),
    rounds(Sink, Length, Times),
    bench:report([{each, (bench:now() - Start) / (Length * Times)}]).

rounds(_, _, 0) -> ok;
rounds(Sink, Length, Times) ->
    flood(Sink, Length - 1),
    Sink ! go,
    Sum = (Length - 1) * Length div 2,
    receive {sum, Sum} -> ok end,
    rounds(Sink, Length, Times - 1).

%% Waiting for `go` looks through the queue once, as far as it has grown.
patient(_, _, 0) -> ok;
patient(From, Messages, Times) ->
    receive go -> ok end,
    From ! {sum, take(Messages, 0)},
    patient(From, Messages, Times - 1).

flood(_, 0) -> ok;
flood(Sink, Number) -> Sink ! {work, self(), Number}, flood(Sink, Number - 1).

take(0, Sum) -> Sum;
take(Left, Sum) -> receive {work, _, Number} -> take(Left - 1, Sum + Number) end.

%% What the peers share: arguments, the clock, the result.
-module(bench).
-export([int/1, now/0, report/1]).

int(Text) -> list_to_integer(Text).

now() -> erlang:monotonic_time(nanosecond).

%% Prints a list of {Key, Number or list of numbers} as JSON and ends the emulator.
report(Pairs) ->
    Fields = [[$", atom_to_list(Key), "\":", value(Value)] || {Key, Value} <- Pairs],
    io:put_chars(["{", lists:join($,, Fields), "}\n"]),
    halt(0).

value(List) when is_list(List) -> [$[, lists:join($,, [value(Each) || Each <- List]), $]];
value(Integer) when is_integer(Integer) -> integer_to_list(Integer);
value(Float) -> io_lib:format("~.3f", [Float]).

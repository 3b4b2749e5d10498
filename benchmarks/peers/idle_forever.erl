%% Says that it runs, and waits for a message that never comes.
-module(idle_forever).
-export([main/0]).

main() ->
    %% In a process of its own: the caller is the emulator's boot, which is to finish.
    spawn(fun() -> io:put_chars("ready\n"), receive after infinity -> ok end end).

-module(idle).
-export([main/1, worker/2]).

main([WorkersText, MessagesText]) ->
    Workers = bench:int(WorkersText),
    Messages = bench:int(MessagesText),
    timer:sleep(50),
    Empty = resident(),
    Start = bench:now(),
    Self = self(),
    Pids = [spawn(idle, worker, [Id, Self]) || Id <- lists:seq(1, Workers)],
    [receive {started, Pid} -> ok end || Pid <- Pids],
    Spawned = bench:now(),
    timer:sleep(200),
    Idle = resident(),
    rounds(Pids, Messages),
    Used = resident(),
    Workers = length([Pid || Pid <- Pids, is_process_alive(Pid)]),
    bench:report([{idle, (Idle - Empty) / Workers}, {used, (Used - Empty) / Workers},
                  {spawn, (Spawned - Start) / Workers}, {alive, Workers}]).

rounds(_, 0) -> ok;
rounds(Pids, Left) ->
    [Pid ! {work, self(), "item"} || Pid <- Pids],
    [receive {result, Pid, _} -> ok end || Pid <- Pids],
    rounds(Pids, Left - 1).

worker(Id, Parent) ->
    Parent ! {started, self()},
    loop(Id).

loop(Id) ->
    receive
        cancel -> cancelled;
        {work, From, What} ->
            receive after 100 -> ok end,
            From ! {result, self(), "completed: " ++ What},
            loop(Id)
    after 5000 -> loop(Id)
    end.

resident() ->
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [Kilobytes]} = re:run(Status, "VmRSS:\\s+([0-9]+)", [{capture, all_but_first, list}]),
    list_to_integer(Kilobytes) * 1024.

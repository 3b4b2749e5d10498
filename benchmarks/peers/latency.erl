-module(latency).
-behaviour(supervisor).
-export([main/1, spinner/1, supervisor/1, worker/1, init/1, start_worker/1]).

main(["kill", SpinnersText, KillsText]) ->
    Others = [spawn(latency, spinner, [none]) || _ <- lists:seq(1, bench:int(SpinnersText))],
    Kills = bench:int(KillsText),
    Samples = case Others of [] -> apart(Kills); _ -> [kill([], 0) || _ <- lists:seq(1, Kills)] end,
    true = lists:all(fun is_process_alive/1, Others),
    bench:report([{kills, Samples}]);
main(["restart", RestartsText]) ->
    %% The report of each crash would be most of the time.
    logger:set_primary_config(level, none),
    spawn(latency, supervisor, [self()]),
    First = receive {running, Pid, _} -> Pid end,
    bench:report([{restarts, restarts(First, bench:int(RestartsText))}]);
main(["declared", RestartsText]) ->
    logger:set_primary_config(level, none),
    {ok, _} = supervisor:start_link(latency, self()),
    First = receive {running, Pid, _} -> Pid end,
    bench:report([{restarts, restarts(First, bench:int(RestartsText))}]).

%% OTP's supervisor.
init(Observer) ->
    Child = #{id => child, start => {latency, start_worker, [Observer]}},
    {ok, {#{intensity => 1000000, period => 1}, [Child]}}.

start_worker(Observer) -> {ok, spawn_link(latency, worker, [Observer])}.

%% Who kills and who is killed, each on a scheduler of its own.
apart(Kills) ->
    Self = self(),
    spawn_opt(fun() -> Self ! {samples, [kill([{scheduler, 2}], 1) || _ <- lists:seq(1, Kills)]} end, [{scheduler, 1}]),
    receive {samples, Samples} -> Samples end.

kill(Options, Pause) ->
    {Victim, Reference} = spawn_opt(latency, spinner, [self()], [monitor | Options]),
    receive {spinning, Victim} -> ok end,
    receive after Pause -> ok end,
    Start = bench:now(),
    exit(Victim, kill),
    receive {'DOWN', Reference, process, Victim, killed} -> bench:now() - Start end.

spinner(none) -> spin();
spinner(Parent) -> Parent ! {spinning, self()}, spin().

spin() -> spin().

restarts(_, 0) -> [];
restarts(Running, Left) ->
    Running ! crash,
    Crashed = receive {crashing, Running, At} -> At end,
    receive {running, Next, Begun} -> [Begun - Crashed | restarts(Next, Left - 1)] end.

supervisor(Observer) ->
    process_flag(trap_exit, true),
    supervise(Observer).

supervise(Observer) ->
    Worker = spawn_link(latency, worker, [Observer]),
    receive {'EXIT', Worker, {crash, _}} -> supervise(Observer) end.

worker(Observer) ->
    Observer ! {running, self(), bench:now()},
    receive crash -> ok end,
    Observer ! {crashing, self(), bench:now()},
    error(crash).

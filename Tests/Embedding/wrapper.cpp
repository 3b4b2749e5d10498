// What include/obhut.hpp adds to the C functions: that it throws, moves, frees and reads payloads as it says.
//
//     c++ -std=c++17 wrapper.cpp $(pkg-config --cflags --libs obhut) -o wrapper && ./wrapper
//
// It prints nothing and ends with 0 when all is well; else it names the line.
#include <obhut.hpp>
#include <obhut.hpp>

#include <atomic>
#include <climits>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <thread>
#include <unordered_set>

using namespace std::chrono_literals;

static std::atomic<int> failures = 0;

#define EXPECT(condition) \
    do { \
        if (!(condition)) std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition), failures++; \
    } while (false)

/// The status with which `body` throws; OBHUT_OK when it does not.
template <class Body>
static obhut_status thrown(Body &&body)
{
    try {
        body();
    } catch (const obhut::error &error) {
        if (error.what()[0] == '\0') std::fprintf(stderr, "an error without a text\n"), failures++;
        return error.status();
    }
    return OBHUT_OK;
}

struct point {
    int x, y;
};

template <>
struct obhut::codec<point> {
    static void write(obhut::writer &to, const point &value) { to.array(2).add(value.x).add(value.y); }
    static point read(obhut::view from) { return {from[0].get<int>(), from[1].get<int>()}; }
};

/// A value goes to MessagePack and comes back; the library reads the same in it.
template <class Type>
static void there_and_back(const Type &value, const char *json)
{
    const obhut::payload encoded = obhut::payload::of(value);
    encoded.check();
    if (encoded.view().get<Type>() != value || (json && encoded.to_json() != json))
        std::fprintf(stderr, "%s did not come back but %s\n", json ? json : "a value", encoded.to_json().c_str()), failures++;
}

static void payloads()
{
    there_and_back(true, "true");
    there_and_back(false, "false");
    for (std::int64_t edge : {INT64_C(0), INT64_C(0x1f), INT64_C(0x7f), INT64_C(0x80), INT64_C(0xff), INT64_C(0x100), INT64_C(0xffff),
                              INT64_C(0x10000), INT64_C(0xffffffff), INT64_C(0x100000000), INT64_MAX})
        for (std::int64_t number : {edge, -edge, -edge - 1})
            there_and_back(number, std::to_string(number).c_str());
    there_and_back(UINT64_MAX, nullptr);
    there_and_back(static_cast<signed char>(-128), "-128");
    there_and_back(1.5, "1.5");
    there_and_back(2.5f, "2.5");
    for (std::size_t length : {0u, 31u, 32u, 255u, 256u, 65535u, 65536u}) {
        there_and_back(std::string(length, 'x'), nullptr);
        there_and_back(std::vector<int>(length, -1), nullptr);
        std::map<std::string, int> many;
        for (std::size_t i = 0; i < length; i++) many[std::to_string(i)] = static_cast<int>(i);
        there_and_back(many, nullptr);
        const std::string bytes(length, '\xff');
        const obhut::payload binary = obhut::writer().binary(bytes.data(), bytes.size()).take();
        EXPECT(binary.view().kind() == obhut::kind::binary && binary.view().text() == bytes);
    }
    there_and_back(std::string("a\0b", 3), "\"a\\u0000b\"");
    there_and_back(std::optional<int>(), "null");
    there_and_back(std::optional<int>(3), "3");
    there_and_back(std::vector<bool>{true, false}, "[true,false]");
    there_and_back(std::array<int, 2>{1, 2}, "[1,2]");
    there_and_back(std::pair<int, std::string>(1, "one"), "[1,\"one\"]");
    there_and_back(std::tuple<int, bool, std::vector<int>>(1, true, {2}), "[1,true,[2]]");
    there_and_back(std::unordered_map<std::string, int>{{"a", 1}}, "{\"a\":1}");
    there_and_back(obhut::pid(0x123456789abcdef0), nullptr);
    EXPECT(obhut::payload::of(obhut::pid(7)).view().kind() == obhut::kind::pid);
    EXPECT(obhut::payload::of("text").to_json() == "\"text\"");
    EXPECT(obhut::payload::of(nullptr).to_json() == "null");
    EXPECT(obhut::list().to_json() == "[]");
    EXPECT(obhut::list(1, "two", 3.5, nullptr, std::vector<std::string>{"x"}).to_json() == "[1,\"two\",3.5,null,[\"x\"]]");

    const obhut::payload places = obhut::payload::of(std::vector<point>{{1, 2}, {3, 4}});
    EXPECT(places.to_json() == "[[1,2],[3,4]]" && places.view().get<std::vector<point>>()[1].y == 4);

    const obhut::payload record = obhut::payload::from_json(R"({"id": 7, "tags": ["a", "b"], "deep": {"x": [1, {"y": null}]}})");
    EXPECT(record.view()["id"].get<int>() == 7 && record.view()["tags"][1].get<std::string_view>() == "b");
    EXPECT(record.view()["deep"]["x"][1]["y"].is_nil() && record.view().size() == 3);
    EXPECT(!record.view().find("nothing") && record.view().find("id"));
    std::string keys;
    for (auto [key, value] : record.view().entries()) keys += key.get<std::string>() + std::to_string(value.size_bytes()) + ' ';
    EXPECT(keys.find("id1 ") != std::string::npos && keys.find("tags9 ") != std::string::npos);
    int count = 0;
    for (obhut::view tag : record.view()["tags"].items()) count += static_cast<int>(tag.text().size());
    EXPECT(count == 2);
    EXPECT(obhut::payload(record.view()["tags"]).to_json() == "[\"a\",\"b\"]");
    EXPECT(obhut::payload::of(record.view()["tags"]) == obhut::payload(record.view()["tags"]));

    const unsigned char failure[] = {0xc7, 0x06, 0x02, 0x95, 0xa1, 'K', 0xc0, 0xc0, 0xc0};
    EXPECT(obhut::view(failure, sizeof failure).failure_fields()[0].text() == "K");
    EXPECT(obhut::view(failure, sizeof failure).extension_type() == 2);

    // What does not fit is refused.
    EXPECT(thrown([] { obhut::payload::of(300).view().get<unsigned char>(); }) == OBHUT_INVALID_ARGUMENT);
    EXPECT(thrown([] { obhut::payload::of(-1).view().get<std::uint64_t>(); }) == OBHUT_INVALID_ARGUMENT);
    EXPECT(thrown([] { obhut::payload::of(UINT64_MAX).view().get<std::int64_t>(); }) == OBHUT_INVALID_ARGUMENT);
    EXPECT(thrown([] { obhut::payload::of(1.5).view().get<int>(); }) == OBHUT_INVALID_ARGUMENT);
    EXPECT(thrown([] { obhut::payload::of(1).view().get<std::string>(); }) == OBHUT_INVALID_ARGUMENT);
    EXPECT(thrown([] { obhut::payload::of(1).view().items(); }) == OBHUT_INVALID_ARGUMENT);
    EXPECT(thrown([] { (void)obhut::list(1).view()[1]; }) == OBHUT_INVALID_ARGUMENT);
    EXPECT(thrown([&] { (void)record.view()["nothing"]; }) == OBHUT_INVALID_ARGUMENT);
    EXPECT(thrown([] { obhut::list(1).view().get<std::pair<int, int>>(); }) == OBHUT_INVALID_ARGUMENT);
    EXPECT(thrown([] { obhut::writer().array(2).add(1).take(); }) == OBHUT_MALFORMED);
    EXPECT(thrown([] { obhut::writer().add(1).add(2).take(); }) == OBHUT_MALFORMED);
    try {
        obhut::payload::from_json("[1, 2");
        EXPECT(!"a JSON text without its end is refused");
    } catch (const obhut::error &error) {
        const obhut::error copy = error;
        EXPECT(copy.status() == OBHUT_MALFORMED && copy.offset() >= 0);
    }
    EXPECT(obhut::payload::of(7).view().get<double>() == 7.0 && obhut::payload::of(-7).view().get<float>() == -7.0f);
    EXPECT(std::isnan(obhut::payload::of(std::nan("")).view().get<double>()));
    EXPECT(obhut::view().is_nil() && obhut::view().to_json() == "null" && obhut::view().size_bytes() == 0);
}

/// Walks everything that a view can reach.
static std::size_t walk(obhut::view value, int depth = 0)
{
    std::size_t found = value.size_bytes();
    if (depth > 64) return found;
    switch (value.kind()) {
        case obhut::kind::array:
            for (obhut::view item : value.items()) found += walk(item, depth + 1);
            break;
        case obhut::kind::map:
            for (auto [key, item] : value.entries()) found += walk(key, depth + 1) + walk(item, depth + 1);
            break;
        case obhut::kind::failure: found += walk(value.failure_fields(), depth + 1); break;
        case obhut::kind::string: found += value.text().size(); break;
        default: break;
    }
    return found;
}

/// Bytes that are no MessagePack throw, and nothing outside of them is read (the address sanitizer watches).
static void hostile_bytes()
{
    std::uint64_t state = 42;
    const auto random = [&] { return state = state * 6364136223846793005u + 1442695040888963407u, static_cast<unsigned>(state >> 33); };
    int malformed = 0;
    for (int round = 0; round < 20000; round++) {
        const std::size_t size = 1 + random() % 24;
        const std::unique_ptr<unsigned char[]> bytes(new unsigned char[size]); // exactly as long: one byte more is seen
        for (std::size_t i = 0; i < size; i++) bytes[i] = static_cast<unsigned char>(random());
        const obhut_status status = thrown([&] { walk(obhut::view(bytes.get(), size)); });
        EXPECT(status == OBHUT_OK || status == OBHUT_MALFORMED);
        malformed += status == OBHUT_MALFORMED;
        // What the library takes for well-formed, the view walks to its end.
        if (obhut_payload_check(bytes.get(), size, nullptr) == OBHUT_OK)
            EXPECT(status == OBHUT_OK && obhut::view(bytes.get(), size).size_bytes() == size);
    }
    EXPECT(malformed > 1000);
    const std::string deep(100000, '\x91'); // no end, and no call for each level
    EXPECT(thrown([&] { (void)obhut::view(deep.data(), deep.size()).size_bytes(); }) == OBHUT_MALFORMED);
    for (const char *many : {"\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff"})
        EXPECT(thrown([&] { (void)obhut::view(many, 5).size_bytes(); }) == OBHUT_MALFORMED);
}

static void times()
{
    static_assert(obhut::forever.native() < 0 && obhut::at_once.native() == 0);
    static_assert(obhut::timeout(1500ms).native() == 1500000000);
    static_assert(obhut::timeout(-1s).native() == 0);
    static_assert(obhut::timeout(std::chrono::hours::max()).native() == INT64_MAX);
    EXPECT(obhut::timeout(std::chrono::duration<double>(0.25)).native() == 250000000);
    EXPECT(obhut::timeout(std::chrono::duration<double>(std::nan(""))).native() == 0);
    EXPECT(obhut::timeout(std::chrono::duration<double>(HUGE_VAL)).native() == INT64_MAX);
}

static const char application[] = R"(
version: "1.0"
namespace: app
entries:
  - { name: host, kind: process.host, host: { workers: 2 }, lifecycle: { auto_start: true } }
  - name: echo
    kind: process.lua
    source: |
      local function main(greeting)
          print(greeting)
          local inbox, events = process.inbox(), process.events()
          while true do
              local got = channel.select { inbox:case_receive(), events:case_receive() }
              if got.channel == events then return "cancelled" end
              local message = got.value
              if message:topic() == "fail" then error({ reason = "told to" }) end
              process.send(message:from(), message:topic(), message:payload():data())
          end
      end
      return { main = main }
  - { name: reads, kind: process.lua, modules: [io, env], env: [NAME], source: 'return { main = function()
      local io = require("io") return { io.readline(), io.args(), require("env").get("NAME") } end }' }
)";

static obhut::message next(obhut::port &port)
{
    std::optional<obhut::message> message = port.receive(10s);
    if (!message) throw std::runtime_error("nothing came");
    return std::move(*message);
}

static void processes()
{
    obhut::runtime runtime;
    runtime.load_text(application);
    EXPECT(obhut::port(runtime).pid()); // before the start, too
    EXPECT(thrown([&] { runtime.supervisor(); }) == OBHUT_NOT_FOUND);
    runtime.start();
    EXPECT(thrown([&] { runtime.start(); }) == OBHUT_WRONG_STATE);

    obhut::port port(runtime);
    const obhut::pid echo = port.spawn("app:echo", obhut::list("hello"), obhut::monitored | obhut::linked, "app:host");
    EXPECT(echo && runtime.resolve(runtime.text(echo)) == echo);
    EXPECT(thrown([&] { port.monitor(echo); }) == OBHUT_WRONG_STATE);
    port.unlink(echo);
    port.link(echo);
    EXPECT(port.pid() != echo && std::unordered_set<obhut::pid>({port.pid(), echo, echo}).size() == 2);

    port.send(echo, "number", 7);
    port.send(echo, "record", std::map<std::string, std::vector<int>>{{"a", {1, 2}}});
    struct pollfd ready = {port.fd(), POLLIN, 0};
    EXPECT(poll(&ready, 1, 10000) == 1);
    obhut::message number = next(port), record = next(port);
    EXPECT(number.kind() == OBHUT_MESSAGE_DATA && number.from() == echo && number.topic() == "number");
    EXPECT(number.payload().get<int>() == 7);
    EXPECT((record.payload().get<std::map<std::string, std::vector<int>>>()["a"] == std::vector<int>{1, 2}));
    number = std::move(record); // frees the first
    EXPECT(number.topic() == "record" && number.origin() == obhut::pid() && number.hops() == 0);
    EXPECT(record.native() == nullptr && record.kind() == -1 && record.topic().empty() && record.payload().empty());

    obhut_status why = OBHUT_OK;
    EXPECT(!port.receive(obhut::at_once, why) && why == OBHUT_TIMEOUT);
    EXPECT(!port.receive(1ms));
    port.wake();
    EXPECT(!port.receive(obhut::forever, why) && why == OBHUT_INTERRUPTED);

    runtime.send(echo, "fail", nullptr);
    bool exit_seen = false, link_seen = false;
    for (int i = 0; i < 2; i++) {
        const obhut::message event = next(port);
        exit_seen |= event.kind() == OBHUT_MESSAGE_EXIT;
        link_seen |= event.kind() == OBHUT_MESSAGE_LINK_DOWN;
        EXPECT(!event.result().ok && !event.result().text.empty() && event.origin() == echo && event.from() == echo);
    }
    EXPECT(exit_seen && link_seen);
    EXPECT(thrown([&] { port.send(echo, "number", 1); }) == OBHUT_NOT_FOUND);
    EXPECT(thrown([&] { port.unmonitor(echo); }) == OBHUT_NOT_FOUND);

    const obhut::pid other = runtime.spawn("app:echo", obhut::list("again"));
    port.monitor(other);
    runtime.cancel(other, 10s);
    const obhut::message end = next(port);
    EXPECT(end.result().ok && end.result().text.empty() && end.result().value.get<std::string>() == "cancelled");
    EXPECT(thrown([&] { runtime.terminate(other); }) == OBHUT_NOT_FOUND);
    EXPECT(thrown([&] { runtime.cancel(other, 0s); }) == OBHUT_INVALID_ARGUMENT);
    EXPECT(thrown([&] { runtime.spawn("app:nothing"); }) == OBHUT_NOT_FOUND);
    EXPECT(thrown([&] { runtime.spawn(std::string_view("app:echo\0", 9)); }) == OBHUT_INVALID_ARGUMENT);
    EXPECT(thrown([&] { runtime.spawn("app:echo", obhut::payload::of(1)); }) == OBHUT_INVALID_ARGUMENT);

    EXPECT(runtime.counters().spawned >= 2);
    EXPECT(runtime.read_output() == "hello\nagain\n" && runtime.read_output().empty());
    runtime.read_log();

    obhut::runtime moved(std::move(runtime));
    EXPECT(runtime.native() == nullptr && thrown([&] { runtime.stop(); }) == OBHUT_INVALID_HANDLE);
    EXPECT(thrown([&] { obhut::port none(runtime); }) == OBHUT_INVALID_HANDLE);
    std::thread waits([&] { EXPECT(thrown([&] { while (port.receive()) {} }) == OBHUT_CLOSED); });
    moved.stop(10s);
    waits.join();
    EXPECT(!port.receive(obhut::at_once, why) && why == OBHUT_CLOSED);
}

/// Counts how many copies of it live: what a callback holds is freed exactly once.
struct held {
    static inline std::atomic<int> alive = 0;
    held() { alive++; }
    held(const held &) { alive++; }
    held(held &&) noexcept { alive++; }
    ~held() { alive--; }
};

static void callbacks()
{
    std::atomic<int> lines = 0, records = 0;
    {
        obhut::config config;
        config.output([&lines, token = held()](std::string_view text) {
            lines += text == "one\n";
            throw std::runtime_error("it ends at the callback");
        });
        config.log([&records, token = held()](obhut::log_level, std::string_view) { records++, throw 1; })
            .log_format(OBHUT_LOG_FORMAT_JSON)
            .seed(1)
            .cloning(false)
            .preemption_signal(0)
            .arguments({"first", "second"})
            .environment({"NAME=value"})
            .input([sent = false, token = held()](char *buffer, std::size_t size) mutable -> std::size_t {
                if (std::exchange(sent, true) || size < 5) return 0;
                std::memcpy(buffer, "line\n", 5);
                return 5;
            });
        EXPECT(held::alive == 3);
        config.log({});
        EXPECT(held::alive == 2);
        EXPECT(thrown([&] { config.log_format(99); }) == OBHUT_INVALID_ARGUMENT);
        EXPECT(thrown([&] { config.preemption_signal(9999); }) == OBHUT_INVALID_ARGUMENT);

        obhut::config moved = std::move(config);
        EXPECT(thrown([&] { config.output([token = held()](std::string_view) {}); }) == OBHUT_INVALID_HANDLE);
        EXPECT(held::alive == 2); // a failed registration too
        config = std::move(moved);

        obhut::runtime runtime(config);
        runtime.load_text(application);
        runtime.start(OBHUT_START_HOSTS);
        obhut::port port(runtime);
        port.spawn("app:reads", {}, obhut::monitored);
        const obhut::message end = next(port);
        EXPECT(end.result().text == "");
        EXPECT(end.result().ok && end.result().value.to_json() == R"(["line",["first","second"],"value"])");
        const obhut::pid echo = port.spawn("app:echo", obhut::list("one"), obhut::monitored);
        runtime.spawn("app:echo", obhut::list("two"));
        runtime.cancel(echo, 10s);
        next(port);
        runtime.stop();
    }
    EXPECT(lines == 1 && records == 0);
    // A stop does not wait for the thread that reads input: it may be the last that holds its function.
    while (held::alive != 0) std::this_thread::yield();
}

static const char supervised[] = R"(
version: "1.0"
namespace: app
entries:
  - { name: host, kind: process.host, host: { workers: 2 }, lifecycle: { auto_start: true } }
  - { name: top, kind: supervisor, children: [{ name: first, process: waits }] }
  - { name: waits, kind: process.lua, source: 'return { main = function() process.events():receive() end }' }
  - { name: fails, kind: process.lua, source: 'return { main = function() process.inbox():receive() error("on purpose", 0) end }' }
)";

static void supervisors_and_crashes()
{
    std::atomic<int> sunk = 0, redacted = 0;
    obhut::config config;
    config.crash_reports(2, 1 << 20)
        .crash_messages(4, 4, 100)
        .crash_redaction([&](std::string_view entry, std::string_view topic, obhut::view payload) -> std::optional<std::string> {
            redacted += entry == "app:fails" && topic == "secret" && payload.get<int>() == 7;
            return "only this";
        })
        .crash_sink([&, token = held()](std::string_view json) { sunk += json.back() == '\n', throw 1; });
    {
        obhut::runtime runtime(config);
        EXPECT(thrown([&] { runtime.explain(); }) == OBHUT_WRONG_STATE);
        runtime.load_text(supervised);
        std::size_t warnings = 99;
        EXPECT(runtime.explain(OBHUT_EXPLAIN_JSON, &warnings).front() == '{' && warnings < 99 && !runtime.explain().empty());
        runtime.start();
        obhut::port port(runtime);
        const obhut::pid top = port.spawn("app:top", {}, obhut::monitored);
        const obhut::payload more = obhut::payload::of(std::map<std::string, std::string>{{"name", "more"}, {"process", "waits"}});
        const obhut::pid child = runtime.start_child(top, more, 10s);
        EXPECT(child && thrown([&] { runtime.start_child(top, more, 10s); }) == OBHUT_WRONG_STATE);
        EXPECT(thrown([&] { runtime.start_child(top, obhut::payload::of(1), 10s); }) == OBHUT_INVALID_ARGUMENT);
        const obhut::payload children = runtime.children(top, 10s);
        EXPECT(children.view().size() == 2 && children.view()[1]["name"].text() == "more");
        EXPECT(children.view()[1]["pid"].get<obhut::pid>() == child);
        EXPECT(runtime.count_children(top, 10s).view()["active"].get<int>() == 2);
        runtime.stop_child(top, "first", 10s);
        EXPECT(runtime.restart_child(top, "first", 10s));
        EXPECT(thrown([&] { runtime.restart_child(top, "first", 10s); }) == OBHUT_WRONG_STATE);
        EXPECT(thrown([&] { runtime.stop_child(top, "nobody", 10s); }) == OBHUT_NOT_FOUND);
        EXPECT(!runtime.failure());

        EXPECT(!runtime.next_crash());
        const obhut::pid fails = port.spawn("app:fails", {}, obhut::monitored);
        port.send(fails, "secret", 7);
        EXPECT(!next(port).result().ok);
        const std::optional<obhut::crash> report = runtime.next_crash();
        EXPECT(report && report->pid() == fails && report->entry() == "app:fails" && report->error() == "on purpose");
        EXPECT(report->text().find("only this") != std::string_view::npos && report->sequence() == 1 && !runtime.next_crash(1));
        EXPECT(obhut::crash::from_json(report->json()).error() == "on purpose");
        EXPECT(thrown([] { obhut::crash::from_json("{"); }) == OBHUT_MALFORMED);
        EXPECT(thrown([] { obhut::inspect_plugin("/none"); }) == OBHUT_NOT_FOUND);
        EXPECT(obhut::inspect_plugin("libc.so.6").find("strlen") != std::string::npos);
        runtime.stop(10s);
    }
    EXPECT(sunk == 1 && redacted == 1);
    config.crash_sink({}).crash_redaction({});
    EXPECT(held::alive == 0);
}

static void names_and_requests()
{
    obhut::runtime runtime;
    runtime.load_text(application);
    runtime.start();
    obhut::port asks(runtime), answers(runtime);
    runtime.register_name("answers", answers.pid());
    EXPECT(runtime.resolve("answers") == answers.pid());
    EXPECT(thrown([&] { runtime.register_name("answers", asks.pid()); }) == OBHUT_WRONG_STATE);

    const std::uint64_t first = asks.request(answers.pid(), "double", 21), second = asks.request(answers.pid(), "double", "x", 10s);
    const std::uint64_t third = asks.request(answers.pid(), "double", nullptr, 10s), late = asks.request(answers.pid(), "double", 1, 1ms);
    EXPECT(first != second);
    obhut::message question = next(answers), odd = next(answers), worse = next(answers);
    EXPECT(question.request() != 0 && question.from() == asks.pid() && question.status() == OBHUT_OK && !question.deadline());
    question.reply(question.payload().get<int>() * 2);
    odd.reply_error("no number");
    worse.reply_error(obhut::payload::of("nothing at all"));
    EXPECT(thrown([&] { question.reply(1); }) == OBHUT_WRONG_STATE);
    for (int i = 0; i < 4; i++) {
        const obhut::message reply = next(asks);
        EXPECT(reply.kind() == OBHUT_MESSAGE_REPLY);
        if (reply.request() == first) EXPECT(reply.result().ok && reply.result().value.get<int>() == 42);
        else if (reply.request() == second) EXPECT(!reply.result().ok && reply.result().text == "no number");
        else if (reply.request() == third) EXPECT(!reply.result().ok && reply.result().value.text() == "nothing at all");
        else EXPECT(reply.request() == late && reply.status() == OBHUT_TIMEOUT && !reply.result().ok);
    }
    EXPECT(thrown([&] { asks.request(answers.pid(), "double", 1, 0s); }) == OBHUT_INVALID_ARGUMENT);
    EXPECT(thrown([&] { asks.send(answers.pid(), "", 1); }) == OBHUT_INVALID_ARGUMENT);

    next(answers); // the late one
    std::thread server([&] {
        obhut::message asked = next(answers);
        asked.reply(asked.payload());
    });
    EXPECT(runtime.request(answers.pid(), "echo", obhut::list(1, "two")).result().value.to_json() == R"([1,"two"])");
    server.join();
    EXPECT(thrown([&] { runtime.request(answers.pid(), "echo", 1, 1ms); }) == OBHUT_TIMEOUT);
    runtime.unregister_name("answers");
    EXPECT(thrown([&] { runtime.unregister_name("answers"); }) == OBHUT_NOT_FOUND);
    EXPECT(thrown([&] { runtime.resolve("answers"); }) == OBHUT_NOT_FOUND);
}

static void own_processes()
{
    {
        obhut::runtime runtime;
        obhut::port acceptor(runtime);
        runtime.load_text(application);
        runtime.define("app:accepted", acceptor);
        runtime.define("app:run", [token = held()](obhut::port &self, obhut::view arguments) {
            const std::string what = arguments[0].get<std::string>();
            if (what == "throw") throw std::runtime_error("on purpose");
            if (what == "odd") throw std::runtime_error("\xff");
            if (what == "number") throw 1;
            if (what == "value") self.end(std::map<std::string, int>{{"x", 1}});
            if (what == "cancel") {
                const obhut::message told = next(self);
                const auto now = std::chrono::steady_clock::now();
                EXPECT(told.kind() == OBHUT_MESSAGE_CANCEL && told.deadline() && *told.deadline() > now - 10s && *told.deadline() <= now + 10s);
                self.end("told to");
            }
            if (what == "forced") while (self.receive()) {}
        });
        EXPECT(thrown([&] { runtime.define("app:none", std::function<void(obhut::port &, obhut::view)>()); }) == OBHUT_INVALID_ARGUMENT);
        EXPECT(thrown([&] { runtime.define("no entry", acceptor); }) == OBHUT_INVALID_ARGUMENT);
        EXPECT(held::alive == 1);
        runtime.start();

        obhut::port port(runtime);
        const auto ended = [&](const char *how) {
            port.spawn("app:run", obhut::list(how), obhut::monitored);
            return next(port);
        };
        EXPECT(ended("return").result().ok && ended("value").result().value["x"].get<int>() == 1);
        EXPECT(ended("throw").result().text == "on purpose");
        EXPECT(ended("odd").result().text == "an exception without a text");
        EXPECT(ended("number").result().text == "an exception without a text");
        const obhut::pid cancelled = port.spawn("app:run", obhut::list("cancel"), obhut::monitored);
        runtime.cancel(cancelled, 10s);
        EXPECT(next(port).result().value.text() == "told to");
        const obhut::pid forced = port.spawn("app:run", obhut::list("forced"), obhut::monitored);
        runtime.terminate(forced);
        EXPECT(!next(port).result().ok);

        const obhut::pid taken = port.spawn("app:accepted", obhut::list(7), obhut::monitored);
        obhut::message start = next(acceptor);
        EXPECT(start.kind() == OBHUT_MESSAGE_START && start.from() == taken && start.topic() == "app:accepted");
        EXPECT(start.payload()[0].get<int>() == 7);
        obhut::port self = start.take_port();
        EXPECT(self.pid() == taken && thrown([&] { start.take_port(); }) == OBHUT_WRONG_STATE);
        self.ready();
        self.trap_links(OBHUT_TRAP_LINKS_ALL);
        EXPECT(thrown([&] { self.trap_links(99); }) == OBHUT_INVALID_ARGUMENT);
        self.send(port.pid(), "hello", self.pid());
        EXPECT(next(port).payload().get<obhut::pid>() == taken);
        self.fail("broken", "where it was");
        EXPECT(next(port).result().text == "broken" && thrown([&] { self.end(); }) == OBHUT_CLOSED);

        port.spawn("app:accepted", {}, obhut::monitored);
        next(acceptor).take_port().fail(obhut::payload::of("an object"));
        EXPECT(next(port).result().value.text() == "an object");
        port.spawn("app:accepted", {}, obhut::monitored);
        next(acceptor).take_port().end();
        const obhut::message normal = next(port);
        EXPECT(normal.result().ok && normal.result().value.is_nil());
        port.spawn("app:accepted", {}, obhut::monitored);
        next(acceptor); // freed, and the port not taken
        EXPECT(!next(port).result().ok);
        runtime.stop();
    }
    // The thread of the process that was ended by force may let go of the function last.
    while (held::alive != 0) std::this_thread::yield();
}

static void inspection()
{
    obhut::runtime runtime;
    runtime.load_text(application);
    runtime.start();
    obhut::port port(runtime);
    const obhut::pid echo = port.spawn("app:echo", obhut::list("hello"));
    runtime.register_name("echo", echo);
    const std::vector<obhut::pid> pids = runtime.pids();
    EXPECT((std::unordered_set<obhut::pid>(pids.begin(), pids.end()).count(echo) == 1 && pids.size() >= 2));
    const obhut::info one = runtime.info(echo);
    EXPECT(one.size() == 1 && one.text(0, OBHUT_INFO_ENTRY) == "app:echo" && one.text(0, OBHUT_INFO_NAMES) == R"(["echo"])");
    EXPECT(obhut::pid(static_cast<obhut_pid>(one.number(0, OBHUT_INFO_PID))) == echo);
    EXPECT(one.number(0, OBHUT_INFO_WORKERS) == -1 && one.text(1, OBHUT_INFO_ENTRY).empty());
    EXPECT(runtime.info().size() >= 2);
    const obhut::info hosts = runtime.info(OBHUT_INFO_OF_HOSTS);
    EXPECT(hosts.size() == 1 && hosts.text(0, OBHUT_INFO_ENTRY) == "app:host" && hosts.number(0, OBHUT_INFO_WORKERS) == 2);
    EXPECT(runtime.info(OBHUT_INFO_OF_ENTRIES).size() == 3);
    EXPECT(thrown([&] { runtime.info(99); }) == OBHUT_INVALID_ARGUMENT);
    EXPECT(thrown([&] { runtime.info(obhut::pid()); }) == OBHUT_NOT_FOUND);
}

/// In the child of a fork the parent's handles throw, and to free them does nothing.
static void forked()
{
    obhut::runtime runtime;
    runtime.load_text(application);
    runtime.start();
    std::optional<obhut::port> port(runtime);
    const pid_t child = fork();
    if (child == 0) {
        bool well = thrown([&] { runtime.stop(); }) == OBHUT_FORKED && thrown([&] { port->receive(); }) == OBHUT_FORKED;
        port.reset();
        well = well && thrown([&] { runtime.counters(); }) == OBHUT_FORKED;
        _exit(well ? 0 : 1);
    }
    int status = -1;
    EXPECT(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    runtime.send(port->pid(), "still", true);
    EXPECT(next(*port).topic() == "still");
}

static void faults()
{
    obhut::runtime runtime;
    try {
        runtime.load_folder("/nonexistent");
        EXPECT(!"a folder that is not there is refused");
    } catch (const obhut::error &error) {
        EXPECT(error.status() == OBHUT_INVALID_APPLICATION || error.status() == OBHUT_SYSTEM);
    }
    try {
        runtime.load_text("version: '1.0'\nnamespace: app\nentries:\n  - { name: x, kind: nothing.known }\n");
        EXPECT(!"an unknown kind is refused");
    } catch (const obhut::error &error) {
        EXPECT(error.status() == OBHUT_INVALID_APPLICATION && error.line() == 4 && error.column() > 0 && error.offset() == -1);
        obhut_error *raw = nullptr;
        (void)obhut_runtime_load_folder(nullptr, "x", &raw);
        const obhut::error of_c(raw);
        EXPECT(of_c.status() == OBHUT_INVALID_HANDLE && of_c.what()[0] != '\0');
        EXPECT(obhut::status_name(error.status()) == "OBHUT_INVALID_APPLICATION" && !obhut::status_text(error.status()).empty());
    }
}

int main()
{
    EXPECT(obhut::version() == OBHUT_VERSION_STRING && obhut::abi_version() == OBHUT_ABI_VERSION);
    EXPECT(obhut::build_info().find(OBHUT_VERSION_STRING) != std::string_view::npos);
    EXPECT(obhut::has_feature("requests") && !obhut::has_feature("nothing") && !obhut::has_feature(std::string_view("lua\0", 4)));
    payloads();
    hostile_bytes();
    times();
    processes();
    callbacks();
    supervisors_and_crashes();
    names_and_requests();
    own_processes();
    inspection();
    forked();
    faults();
    return failures == 0 ? 0 : 1;
}

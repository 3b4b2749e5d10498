// Counts the words of a file with Lua processes that fail, under a supervisor that starts them again.
//
//     embed-cpp FILE [FOLDER]     FOLDER: the application, ./app by itself
//
// Each paragraph of the file is a page and becomes a request to one of three counters. A counter that fails takes its
// page along; the supervisor starts another one, and the page is sent again. So every page is counted, and once.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <fstream>
#include <iostream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include <obhut.hpp>

using namespace std::chrono_literals;

struct page {
    int number;
    std::string text;
};

// How a page travels: { "number": 1, "text": "…" }.
template <>
struct obhut::codec<page> {
    static void write(writer &to, const page &value)
    {
        to.map(2).add("number").add(value.number).add("text").add(value.text);
    }
};

static std::vector<page> read_pages(const char *path)
{
    std::ifstream file(path);
    if (!file) throw std::runtime_error(std::string("cannot read ") + path);
    std::vector<page> pages;
    std::string line, text;
    while (std::getline(file, line)) {
        if (!line.empty()) {
            text += line + '\n';
        } else if (!text.empty()) {
            pages.push_back({static_cast<int>(pages.size()) + 1, std::exchange(text, {})});
        }
    }
    if (!text.empty()) pages.push_back({static_cast<int>(pages.size()) + 1, text});
    return pages;
}

// Hands out pages and collects what comes back.
class collector {
public:
    collector(obhut::runtime &runtime, std::vector<page> pages)
        : port_(runtime), pages_(std::move(pages))
    {
        for (std::size_t index = 0; index < pages_.size(); index++) waiting_.push_back(index);
        // The name by which the counters know this port. The end of the process that gives it is waited for.
        port_.spawn("app:introduce", obhut::list(port_.pid()), obhut::monitored);
        if (const std::optional<obhut::message> end = port_.receive(10s); !end || !end->result().ok)
            throw std::runtime_error("the port got no name");
    }

    void run()
    {
        const obhut::pid supervisor = port_.spawn("app:counters", {}, obhut::monitored);
        while (counted_ < pages_.size()) {
            const std::optional<obhut::message> message = port_.receive(30s);
            if (!message) throw std::runtime_error("no counter has answered for 30 seconds");
            if (message->kind() == OBHUT_MESSAGE_EXIT && message->from() == supervisor)
                throw std::runtime_error("the supervisor has given up: " + std::string(message->result().text));
            if (message->kind() == OBHUT_MESSAGE_EXIT) on_end(*message);
            else if (message->topic() == "ready") on_ready(message->from());
            else if (message->topic() == "counted") on_counted(*message);
        }
    }

    void report() const
    {
        std::vector<std::pair<std::string, std::int64_t>> order(words_.begin(), words_.end());
        std::sort(order.begin(), order.end(), [](const auto &one, const auto &other) {
            return std::tie(other.second, one.first) < std::tie(one.second, other.first);
        });
        std::int64_t all = 0;
        for (const auto &[word, count] : order) all += count;
        std::cout << all << " words on " << pages_.size() << " pages, " << order.size() << " different; "
                  << failures_ << " counters failed\n";
        for (std::size_t rank = 0; rank < std::min<std::size_t>(5, order.size()); rank++)
            std::cout << "  " << order[rank].second << ' ' << order[rank].first << '\n';
    }

private:
    // A counter is there, the first or one in place of another.
    void on_ready(obhut::pid counter)
    {
        try {
            port_.monitor(counter);
        } catch (const obhut::error &error) {
            if (error.status() != OBHUT_NOT_FOUND) throw; // dead by now; the next one will say so
            return;
        }
        idle_.push_back(counter);
        hand_out();
    }

    void on_counted(const obhut::message &message)
    {
        const obhut::view counted = message.payload();
        // A page without a word is an empty table in Lua, and that is an array.
        if (const obhut::view words = counted["words"]; words.kind() == obhut::kind::map)
            for (const auto &[word, count] : words.entries()) words_[word.get<std::string>()] += count.get<std::int64_t>();
        counted_++;
        busy_.erase(message.from());
        idle_.push_back(message.from());
        hand_out();
    }

    // A counter has failed. If it had a page, that is the next to be handed out.
    void on_end(const obhut::message &message)
    {
        std::cout << "a counter failed: " << message.result().text << '\n';
        failures_++;
        if (const auto found = busy_.find(message.from()); found != busy_.end()) {
            waiting_.push_front(found->second);
            busy_.erase(found);
        }
        idle_.erase(std::remove(idle_.begin(), idle_.end(), message.from()), idle_.end());
        hand_out();
    }

    void hand_out()
    {
        while (!idle_.empty() && !waiting_.empty()) {
            const obhut::pid counter = idle_.front();
            idle_.pop_front();
            try {
                port_.send(counter, "count", pages_[waiting_.front()]);
            } catch (const obhut::error &error) {
                if (error.status() != OBHUT_NOT_FOUND) throw;
                continue; // it has just failed; its EXIT is on the way
            }
            busy_[counter] = waiting_.front();
            waiting_.pop_front();
        }
    }

    obhut::port port_;
    std::vector<page> pages_;
    std::deque<std::size_t> waiting_;                  // pages that nobody has
    std::deque<obhut::pid> idle_;                      // counters without a page
    std::unordered_map<obhut::pid, std::size_t> busy_; // those with one
    std::unordered_map<std::string, std::int64_t> words_;
    std::size_t counted_ = 0, failures_ = 0;
};

int main(int count, char **arguments)
try {
    if (count < 2 || count > 3) {
        std::cerr << "usage: " << arguments[0] << " FILE [FOLDER]\n";
        return 2;
    }
    obhut::runtime runtime;
    runtime.load_folder(count == 3 ? arguments[2] : "app");
    runtime.start(OBHUT_START_HOSTS);
    collector collector(runtime, read_pages(arguments[1]));
    collector.run();
    runtime.stop();
    collector.report();
    return 0;
} catch (const obhut::error &error) {
    std::cerr << "embed-cpp: " << error.what() << " (" << obhut::status_name(error.status()) << ")\n";
    return 1;
} catch (const std::exception &error) {
    std::cerr << "embed-cpp: " << error.what() << '\n';
    return 1;
}

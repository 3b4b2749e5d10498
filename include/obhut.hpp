/* obhut.hpp: obhut.h for C++17: handles that free themselves, failures that throw, payloads as values.
 *
 *     obhut::runtime runtime;
 *     runtime.load_folder("app");
 *     runtime.start();
 *
 *     obhut::port port(runtime);
 *     obhut::pid worker = port.spawn("app:worker", obhut::list(7, "seven"), obhut::monitored);
 *     while (std::optional<obhut::message> message = port.receive(std::chrono::seconds(5))) {
 *         if (message->kind() == OBHUT_MESSAGE_EXIT) break;
 *         std::cout << message->topic() << ' ' << message->payload().to_json() << '\n';
 *     }
 *
 * Header only: it adds no symbol to the library and calls nothing but obhut.h, whose words on threads, waiting
 * and ownership hold for the member of the same name. Only what is different is said here.
 *
 *   - A failed call throws obhut::error. Timeouts, and what cannot fail, do not throw.
 *   - runtime, port, message, crash, info and config own one handle each; they move, without throwing, and do not copy. One
 *     that was moved from holds nothing: calls on it throw OBHUT_INVALID_HANDLE. native() is the handle, for obhut.h.
 *   - Texts are std::string_view, copied when C needs a closing NUL; one with a NUL inside throws.
 *   - A timeout is any std::chrono::duration, or obhut::forever. A negative duration is what is left of a time that
 *     has passed, so it is 0 and not, as in C, for ever.
 *   - An exception that a callback of yours lets out ends at the callback and is dropped: none crosses C. That of a
 *     function that runs a process (runtime::define) is the failure of the process.
 *   - In the child of a fork what would throw throws OBHUT_FORKED for the parent's handles, and destructors do nothing.
 *
 * To wrap a new function of obhut.h: a member in the class of its first argument, in the order of that header,
 * made of detail::call (which throws) or of the function itself (where it cannot fail).
 */
#ifndef OBHUT_HPP
#define OBHUT_HPP

#include <obhut.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <functional>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace obhut {

// ------------------------------------------------------------------------------------------------- Version

/// The version of the loaded library, "0.1.0".
inline std::string_view version() noexcept { return obhut_version(); }
/// The ABI's number of the loaded library; OBHUT_ABI_VERSION is that of the header.
inline std::uint32_t abi_version() noexcept { return obhut_abi_version(); }
/// What the library was built from and how, for a bug report.
inline std::string_view build_info() noexcept { return obhut_build_info(); }

/// Whether the loaded library can do something, "requests"; obhut.h lists what there is.
inline bool has_feature(std::string_view name)
{
    return name.find('\0') == std::string_view::npos && obhut_has_feature(std::string(name).c_str());
}

/// The name of a status, "OBHUT_NOT_FOUND".
inline std::string_view status_name(obhut_status status) noexcept { return obhut_status_name(status); }
/// What a status means, for people.
inline std::string_view status_text(obhut_status status) noexcept { return obhut_status_text(status); }

// -------------------------------------------------------------------------------------------------- Errors

/// What a failed call throws. what() is the library's text: what was wrong, where, and what would be right.
class error : public std::runtime_error {
public:
    error(obhut_status status, const std::string &text) : std::runtime_error(text), status_(status) {}

    /// Takes the error over and frees it. NULL: the text is that of the status.
    error(obhut_status status, obhut_error *taken) : error(status, owned(taken, &obhut_error_free)) {}

    /// The same with the status that the error has: for calls of obhut.h itself. Not NULL.
    explicit error(obhut_error *taken) : error(obhut_error_status(taken), taken) {}

    /// OBHUT_NOT_FOUND and so on.
    obhut_status status() const noexcept { return status_; }
    /// The file of the (first) fault of an application, relative to it; "" if there is none.
    std::string_view file() const noexcept { return file_ ? std::string_view(*file_) : std::string_view(); }
    /// Line and column of that fault, from 1; 0 if not known.
    std::uint32_t line() const noexcept { return line_; }
    std::uint32_t column() const noexcept { return column_; }
    /// The byte at which the value begins that makes a payload or text malformed; -1 if that was not what was wrong.
    std::int64_t offset() const noexcept { return offset_; }

private:
    using owned = std::unique_ptr<obhut_error, void (*)(obhut_error *)>;

    error(obhut_status status, owned taken)
        : std::runtime_error(taken ? obhut_error_text(taken.get()) : obhut_status_text(status)), status_(status)
    {
        if (!taken) return;
        if (const char *file = obhut_error_file(taken.get())) file_ = std::make_shared<const std::string>(file);
        line_ = obhut_error_line(taken.get());
        column_ = obhut_error_column(taken.get());
        offset_ = obhut_error_offset(taken.get());
    }

    friend class view;

    obhut_status status_;
    std::uint32_t line_ = 0, column_ = 0;
    std::int64_t offset_ = -1;
    std::shared_ptr<const std::string> file_; // shared: copying an exception must not throw
};

namespace detail {

/// Throws unless the status is OBHUT_OK.
inline void check(obhut_status status)
{
    if (status != OBHUT_OK) throw error(status, nullptr);
}

/// Calls a function of obhut.h whose last parameter is `obhut_error **`, and throws what it answers there.
template <class Function, class... Arguments>
void call(Function *function, Arguments... arguments)
{
    obhut_error *taken = nullptr;
    const obhut_status status = function(arguments..., &taken);
    if (status != OBHUT_OK) throw error(status, taken);
}

/// A text with a closing NUL. One with a NUL inside would be cut, so it is refused.
class c_string {
public:
    explicit c_string(std::string_view text) : text_(text)
    {
        if (text.find('\0') != std::string_view::npos)
            throw error(OBHUT_INVALID_ARGUMENT, std::string("a text must not contain a NUL byte: ").append(text_.c_str()));
    }
    const char *get() const noexcept { return text_.c_str(); }
    /// NULL for "".
    const char *get_or_null() const noexcept { return text_.empty() ? nullptr : text_.c_str(); }

private:
    std::string text_;
};

/// The bytes that the library handed over, freed with obhut_bytes_free.
struct bytes_deleter {
    void operator()(void *bytes) const noexcept { obhut_bytes_free(bytes); }
};

/// A handle, and the function that frees it.
template <class Handle, void (*Free)(Handle *)>
struct handle_deleter {
    void operator()(Handle *handle) const noexcept { Free(handle); }
};
template <class Handle, void (*Free)(Handle *)>
using handle = std::unique_ptr<Handle, handle_deleter<Handle, Free>>;

/// Runs a function of the program's inside a callback: what it throws ends here.
template <class Body>
void guarded(Body &&body) noexcept
{
    try {
        body();
    } catch (...) {
    }
}
/// The finalizer of a function object that was made with `new`.
template <class Function>
void discard(void *user) noexcept
{
    guarded([&] { delete static_cast<Function *>(user); });
}

} // namespace detail

// --------------------------------------------------------------------------------------------------- Times

/// How long to wait or to give: any duration, rounded towards 0 to nanoseconds, no longer than 292 years; negative is 0.
class timeout {
public:
    template <class Count, class Period>
    constexpr timeout(std::chrono::duration<Count, Period> duration) noexcept // implicit: receive(5s)
        : nanoseconds_(convert(duration))
    {
    }
    /// As obhut.h wants it: negative for ever.
    constexpr std::int64_t native() const noexcept { return nanoseconds_; }

    /// obhut::forever.
    static constexpr timeout without_end() noexcept { return timeout(); }

private:
    constexpr timeout() noexcept : nanoseconds_(-1) {}

    template <class Count, class Period>
    static constexpr std::int64_t convert(std::chrono::duration<Count, Period> duration) noexcept
    {
        using seconds = std::chrono::duration<long double>;
        if (!(duration > duration.zero())) return 0; // NaN too
        if (std::chrono::duration_cast<seconds>(duration) >= seconds(9.2e9L)) return std::numeric_limits<std::int64_t>::max();
        return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
    }

    std::int64_t nanoseconds_;
};

/// Without end; for runtime::stop: as long as the application says.
inline constexpr timeout forever = timeout::without_end();
/// Not at all: takes what is there.
inline constexpr timeout at_once = timeout(std::chrono::nanoseconds(0));

// ---------------------------------------------------------------------------------------------------- Pids

/// A process; a value, never reused while its runtime lives. One that has ended is OBHUT_NOT_FOUND, never a crash.
class pid {
public:
    constexpr pid() noexcept = default;
    constexpr explicit pid(obhut_pid value) noexcept : value_(value) {}
    constexpr obhut_pid native() const noexcept { return value_; }
    /// Whether it is a process at all: 0 is none.
    constexpr explicit operator bool() const noexcept { return value_ != 0; }

    friend constexpr bool operator==(pid one, pid other) noexcept { return one.value_ == other.value_; }
    friend constexpr bool operator!=(pid one, pid other) noexcept { return one.value_ != other.value_; }
    friend constexpr bool operator<(pid one, pid other) noexcept { return one.value_ < other.value_; }

private:
    obhut_pid value_ = 0;
};

// ------------------------------------------------------------------------------------------------ Payloads

/// What a MessagePack value is.
enum class kind { nil, boolean, integer, number, string, binary, array, map, pid, failure, extension };

/// The name of a kind, for messages.
inline const char *kind_name(kind of) noexcept
{
    constexpr const char *names[] = {"nil", "a boolean", "an integer", "a floating-point number", "a string", "binary data",
                                     "an array", "a map", "a pid", "an error object", "an extension"};
    return names[static_cast<int>(of)];
}

class view;
class writer;

/// How a C++ type becomes MessagePack and comes back. Specialise it for types of your own:
///
///     template <> struct obhut::codec<point> {
///         static void write(obhut::writer &to, const point &value) { to.array(2).add(value.x).add(value.y); }
///         static point read(obhut::view from) { return {from[0].get<int>(), from[1].get<int>()}; }
///     };
template <class Type, class = void>
struct codec;

/// Looks at one MessagePack value without owning it: valid as long as the bytes, so as the message or payload. What is
/// asked of it and not there, or of another kind, throws OBHUT_INVALID_ARGUMENT; bytes that are no MessagePack throw
/// OBHUT_MALFORMED. Arrays and maps are walked, not indexed: `[]` takes time in proportion to their length.
class view {
public:
    class item_iterator;
    class entry_iterator;
    template <class Iterator>
    class range;

    /// No value at all, the payload of an event. As a value it is nil.
    view() noexcept = default;
    /// The first value in `size` bytes.
    view(const void *bytes, std::size_t size) noexcept
        : begin_(static_cast<const unsigned char *>(bytes)), at_(begin_), end_(bytes ? begin_ + size : begin_)
    {
    }

    bool empty() const noexcept { return at_ == end_; }
    /// Where the value's bytes begin and how many they are.
    const void *data() const noexcept { return at_; }
    std::size_t size_bytes() const { return empty() ? 0 : static_cast<std::size_t>(after(at_) - at_); }

    obhut::kind kind() const { return empty() ? obhut::kind::nil : head_of(at_).kind; }
    bool is_nil() const { return kind() == obhut::kind::nil; }

    /// The value as a C++ value: bool, integers (those out of range throw), floating point (integers too), std::string,
    /// std::string_view (valid as long as the bytes), pid, std::optional (nil is none), std::vector, std::array, std::map,
    /// std::unordered_map, std::pair, std::tuple, payload, view, and what codec is specialised for.
    template <class Type>
    Type get() const
    {
        return codec<Type>::read(*this);
    }

    /// How many elements an array, or pairs a map, has.
    std::size_t size() const
    {
        const head found = empty() ? head{} : head_of(at_);
        if (found.kind != obhut::kind::array && found.kind != obhut::kind::map) refuse("an array or a map", found.kind);
        return found.length;
    }
    /// The elements of an array: `for (obhut::view item : value.items())`.
    range<item_iterator> items() const;
    /// The pairs of a map: `for (auto [key, value] : value.entries())`.
    range<entry_iterator> entries() const;

    /// An element of an array, from 0.
    view operator[](std::size_t index) const;
    view operator[](int index) const { return (*this)[static_cast<std::size_t>(index)]; }
    /// What a map has under a key.
    view operator[](std::string_view key) const;
    view operator[](const char *key) const { return (*this)[std::string_view(key)]; }
    /// The same, or none where the map does not have the key.
    std::optional<view> find(std::string_view key) const;

    /// The bytes of a string, of binary data or of an extension.
    std::string_view text() const
    {
        const head found = empty() ? head{} : head_of(at_);
        if (found.kind != obhut::kind::string && found.kind != obhut::kind::binary && found.kind != obhut::kind::extension)
            refuse("a string", found.kind);
        return {reinterpret_cast<const char *>(found.body), found.length};
    }
    /// The type of an extension, a pid (1) and an error object (2) included.
    int extension_type() const
    {
        const head found = empty() ? head{} : head_of(at_);
        if (found.kind < obhut::kind::pid) refuse("an extension", found.kind);
        return found.extension;
    }
    /// Of an error object: the array [kind, message, retryable, details, stack].
    view failure_fields() const
    {
        const head found = empty() ? head{} : head_of(at_);
        if (found.kind != obhut::kind::failure) refuse("an error object", found.kind);
        view inner(found.body, found.length);
        return inner;
    }

    /// As JSON: `bin` becomes base64, NaN and infinities null.
    std::string to_json() const
    {
        static constexpr unsigned char nil = 0xc0;
        char *text = nullptr;
        std::size_t length = 0;
        detail::call(&obhut_payload_to_json, empty() ? static_cast<const void *>(&nil) : at_, empty() ? 1 : size_bytes(), &text,
                     &length);
        const std::unique_ptr<void, detail::bytes_deleter> owned(text);
        return std::string(text, length);
    }

private:
    template <class, class>
    friend struct codec;

    /// A value's first bytes, read. `length`: bytes of the body, or elements, or pairs. An integer is in `bits`.
    struct head {
        obhut::kind kind = obhut::kind::nil;
        const unsigned char *body = nullptr;
        std::size_t length = 0;
        std::uint64_t bits = 0;
        bool is_negative = false;
        double number = 0;
        int extension = 0;
    };

    [[noreturn]] void malformed(const unsigned char *at) const
    {
        error thrown(OBHUT_MALFORMED, "the payload is not well-formed MessagePack at byte " + std::to_string(at - begin_));
        thrown.offset_ = at - begin_;
        throw thrown;
    }
    [[noreturn]] static void refuse(const std::string &wanted, obhut::kind found)
    {
        throw error(OBHUT_INVALID_ARGUMENT, "the payload has " + std::string(kind_name(found)) + " where " + wanted + " is asked for");
    }

    std::uint64_t big_endian(const unsigned char *value, const unsigned char *from, unsigned size) const
    {
        if (static_cast<std::size_t>(end_ - from) < size) malformed(value);
        std::uint64_t bits = 0;
        for (unsigned i = 0; i < size; i++) bits = bits << 8 | from[i];
        return bits;
    }

    /// Reads the beginning of the value at `at`; its body is inside the bytes.
    head head_of(const unsigned char *at) const
    {
        if (at == end_) malformed(at);
        const unsigned char tag = *at, *next = at + 1;
        head found;
        // What has a length: its field's size, then the body.
        const auto sized = [&](obhut::kind kind, unsigned field, std::uint64_t fixed) {
            found.kind = kind;
            found.length = static_cast<std::size_t>(field ? big_endian(at, next, field) : fixed);
            found.body = next + field;
        };
        const auto whole = [&](unsigned size, bool is_signed) {
            found.kind = obhut::kind::integer;
            found.bits = big_endian(at, next, size);
            if (is_signed && size < 8 && found.bits >> (size * 8 - 1)) found.bits |= ~std::uint64_t(0) << (size * 8);
            found.is_negative = is_signed && found.bits >> 63;
            found.body = next + size;
        };
        if (tag <= 0x7f || tag >= 0xe0) {
            found.kind = obhut::kind::integer;
            found.bits = tag <= 0x7f ? tag : ~std::uint64_t(0xff) | tag;
            found.is_negative = tag >= 0xe0;
            found.body = next;
            return found;
        }
        if (tag <= 0x8f) sized(obhut::kind::map, 0, tag & 0x0f);
        else if (tag <= 0x9f) sized(obhut::kind::array, 0, tag & 0x0f);
        else if (tag <= 0xbf) sized(obhut::kind::string, 0, tag & 0x1f);
        else switch (tag) {
            case 0xc0: found.body = next; return found;
            case 0xc2: case 0xc3:
                found.kind = obhut::kind::boolean, found.bits = tag & 1, found.body = next;
                return found;
            case 0xc4: case 0xc5: case 0xc6: sized(obhut::kind::binary, 1u << (tag - 0xc4), 0); break;
            case 0xc7: case 0xc8: case 0xc9: sized(obhut::kind::extension, 1u << (tag - 0xc7), 0); break;
            case 0xca: {
                const std::uint32_t bits = static_cast<std::uint32_t>(big_endian(at, next, 4));
                float number;
                std::memcpy(&number, &bits, sizeof number);
                found.kind = obhut::kind::number, found.number = static_cast<double>(number), found.body = next + 4;
                return found;
            }
            case 0xcb: {
                const std::uint64_t bits = big_endian(at, next, 8);
                std::memcpy(&found.number, &bits, sizeof found.number);
                found.kind = obhut::kind::number, found.body = next + 8;
                return found;
            }
            case 0xcc: case 0xcd: case 0xce: case 0xcf: whole(1u << (tag - 0xcc), false); return found;
            case 0xd0: case 0xd1: case 0xd2: case 0xd3: whole(1u << (tag - 0xd0), true); return found;
            case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8:
                sized(obhut::kind::extension, 0, std::uint64_t(1) << (tag - 0xd4));
                break;
            case 0xd9: case 0xda: case 0xdb: sized(obhut::kind::string, 1u << (tag - 0xd9), 0); break;
            case 0xdc: case 0xdd: sized(obhut::kind::array, 2u << (tag - 0xdc), 0); break;
            case 0xde: case 0xdf: sized(obhut::kind::map, 2u << (tag - 0xde), 0); break;
            default: malformed(at);
        }
        if (found.kind == obhut::kind::extension) {
            found.extension = static_cast<signed char>(big_endian(at, found.body, 1));
            found.body++;
            if (found.extension == 1 && found.length == 8) found.kind = obhut::kind::pid;
            if (found.extension == 2) found.kind = obhut::kind::failure;
        }
        // An element has at least one byte: so counts are bounded by what there is as well.
        const std::size_t left = static_cast<std::size_t>(end_ - found.body);
        if (found.length > (found.kind == obhut::kind::map ? left / 2 : left)) malformed(at);
        if (found.kind == obhut::kind::pid) found.bits = big_endian(at, found.body, 8);
        return found;
    }

    /// The byte after the value at `at`. Counts what is open, instead of a call for each level: depth costs nothing.
    const unsigned char *after(const unsigned char *at) const
    {
        for (std::uint64_t open = 1; open > 0; open--) {
            const head found = head_of(at);
            at = found.body;
            if (found.kind == obhut::kind::array) open += found.length;
            else if (found.kind == obhut::kind::map) open += 2 * std::uint64_t(found.length);
            else if (found.kind >= obhut::kind::string) at += found.length;
        }
        return at;
    }

    view at(const unsigned char *position) const noexcept
    {
        view moved(*this);
        moved.at_ = position;
        return moved;
    }

    const unsigned char *begin_ = nullptr, *at_ = nullptr, *end_ = nullptr;
};

/// Goes through the elements of an array.
class view::item_iterator {
public:
    view operator*() const noexcept { return at_; }
    item_iterator &operator++()
    {
        at_ = at_.at(at_.after(at_.at_));
        left_--;
        return *this;
    }
    friend bool operator!=(const item_iterator &one, const item_iterator &other) noexcept { return one.left_ != other.left_; }
    friend bool operator==(const item_iterator &one, const item_iterator &other) noexcept { return one.left_ == other.left_; }

private:
    friend class view;
    item_iterator(view at, std::size_t left) noexcept : at_(at), left_(left) {}
    view at_;
    std::size_t left_;
};

/// Goes through the pairs of a map.
class view::entry_iterator {
public:
    std::pair<view, view> operator*() const { return {at_, at_.at(at_.after(at_.at_))}; }
    entry_iterator &operator++()
    {
        at_ = at_.at(at_.after(at_.after(at_.at_)));
        left_--;
        return *this;
    }
    friend bool operator!=(const entry_iterator &one, const entry_iterator &other) noexcept { return one.left_ != other.left_; }
    friend bool operator==(const entry_iterator &one, const entry_iterator &other) noexcept { return one.left_ == other.left_; }

private:
    friend class view;
    entry_iterator(view at, std::size_t left) noexcept : at_(at), left_(left) {}
    view at_;
    std::size_t left_;
};

/// Something to go through with `for`.
template <class Iterator>
class view::range {
public:
    Iterator begin() const noexcept { return begin_; }
    Iterator end() const noexcept { return end_; }

private:
    friend class view;
    range(Iterator begin, Iterator end) noexcept : begin_(begin), end_(end) {}
    Iterator begin_, end_;
};

inline view::range<view::item_iterator> view::items() const
{
    const head found = empty() ? head{} : head_of(at_);
    if (found.kind != obhut::kind::array) refuse("an array", found.kind);
    return {item_iterator(at(found.body), found.length), item_iterator(*this, 0)};
}

inline view::range<view::entry_iterator> view::entries() const
{
    const head found = empty() ? head{} : head_of(at_);
    if (found.kind != obhut::kind::map) refuse("a map", found.kind);
    return {entry_iterator(at(found.body), found.length), entry_iterator(*this, 0)};
}

inline view view::operator[](std::size_t index) const
{
    for (view item : items())
        if (index-- == 0) return item;
    throw error(OBHUT_INVALID_ARGUMENT, "the payload's array has no such element; it has " + std::to_string(size()));
}

inline std::optional<view> view::find(std::string_view key) const
{
    for (auto [name, value] : entries())
        if (name.kind() == obhut::kind::string && name.text() == key) return value;
    return std::nullopt;
}

inline view view::operator[](std::string_view key) const
{
    if (const std::optional<view> found = find(key)) return *found;
    throw error(OBHUT_INVALID_ARGUMENT, "the payload's map has no \"" + std::string(key) + "\"");
}

/// One MessagePack value that owns its bytes. Empty: none, what spawn takes for no arguments.
class payload {
public:
    payload() noexcept = default;
    /// A copy of `size` bytes. They are checked where they are sent.
    payload(const void *bytes, std::size_t size)
        : bytes_(static_cast<const unsigned char *>(bytes), static_cast<const unsigned char *>(bytes) + size)
    {
    }
    /// A copy of what is looked at.
    explicit payload(obhut::view of) : payload(of.data(), of.size_bytes()) {}

    /// A C++ value, of the types that view::get has.
    template <class Type>
    static payload of(const Type &value);
    /// What a JSON text says. Throws OBHUT_MALFORMED with the offset.
    static payload from_json(std::string_view json)
    {
        void *bytes = nullptr;
        std::size_t size = 0;
        detail::call(&obhut_payload_from_json, json.data() ? json.data() : "", json.size(), &bytes, &size);
        const std::unique_ptr<void, detail::bytes_deleter> owned(bytes);
        return payload(bytes, size);
    }

    bool empty() const noexcept { return bytes_.empty(); }
    const void *data() const noexcept { return bytes_.empty() ? nullptr : bytes_.data(); }
    std::size_t size_bytes() const noexcept { return bytes_.size(); }
    /// Valid until the payload is changed or gone.
    obhut::view view() const noexcept { return obhut::view(data(), size_bytes()); }
    operator obhut::view() const noexcept { return view(); } // implicit: get and codec take it
    std::string to_json() const { return view().to_json(); }
    /// Throws OBHUT_MALFORMED unless these bytes are exactly one well-formed value.
    void check() const { detail::call(&obhut_payload_check, data(), size_bytes()); }

    friend bool operator==(const payload &one, const payload &other) noexcept { return one.bytes_ == other.bytes_; }
    friend bool operator!=(const payload &one, const payload &other) noexcept { return one.bytes_ != other.bytes_; }

private:
    friend class writer;
    explicit payload(std::vector<unsigned char> bytes) noexcept : bytes_(std::move(bytes)) {}
    std::vector<unsigned char> bytes_;
};

/// Writes a payload piece by piece. An array or a map is announced with its length, and as many values (for a map:
/// a key and a value each time) follow:
///
///     obhut::writer().map(2).add("id").add(7).add("tags").array(2).add("a").add("b").take()
class writer {
public:
    /// Any value that codec knows.
    template <class Type>
    writer &add(const Type &value)
    {
        // Literals and arrays of char are texts.
        if constexpr (std::is_convertible_v<const Type &, std::string_view> && !std::is_same_v<Type, std::nullptr_t>)
            text(value);
        else
            codec<Type>::write(*this, value);
        return *this;
    }
    writer &array(std::size_t length) { return counted(length, 0x90, 16, 0, 0xdc, 0xdd, "array"); }
    writer &map(std::size_t length) { return counted(length, 0x80, 16, 0, 0xde, 0xdf, "map"); }
    writer &text(std::string_view characters)
    {
        return counted(characters.size(), 0xa0, 32, 0xd9, 0xda, 0xdb, "string").raw(characters.data(), characters.size());
    }
    /// Bytes that are not text: Lua sees a string either way, JSON base64.
    writer &binary(const void *bytes, std::size_t size)
    {
        counted(size, 0, 0, 0xc4, 0xc5, 0xc6, "value");
        return raw(bytes, size);
    }
    /// What was written, checked to be one value; the writer is empty again.
    payload take()
    {
        payload written(std::exchange(bytes_, {}));
        written.check();
        return written;
    }

private:
    template <class, class>
    friend struct codec;
    friend class payload;

    writer &raw(const void *bytes, std::size_t size)
    {
        const auto *first = static_cast<const unsigned char *>(bytes);
        bytes_.insert(bytes_.end(), first, first + size);
        return *this;
    }
    writer &tagged(unsigned tag, std::uint64_t bits, unsigned size)
    {
        bytes_.push_back(static_cast<unsigned char>(tag));
        while (size-- > 0) bytes_.push_back(static_cast<unsigned char>(bits >> (8 * size)));
        return *this;
    }
    /// The shortest form of a length; 0 for a form that there is not.
    writer &counted(std::size_t length, unsigned fixed, std::size_t fixed_end, unsigned tag8, unsigned tag16, unsigned tag32,
                    const char *what)
    {
        if (length < fixed_end) return tagged(fixed | static_cast<unsigned>(length), 0, 0);
        if (tag8 && length <= 0xff) return tagged(tag8, length, 1);
        if (length <= 0xffff) return tagged(tag16, length, 2);
        if (length <= 0xffffffff) return tagged(tag32, length, 4);
        throw error(OBHUT_LIMIT, std::string("MessagePack has no room for so long a ") + what);
    }

    std::vector<unsigned char> bytes_;
};

template <class Type>
payload payload::of(const Type &value)
{
    writer to;
    to.add(value);
    return payload(std::move(to.bytes_));
}

/// An array of values of any types, such as spawn's arguments: `obhut::list(7, "seven", true)`.
template <class... Types>
payload list(const Types &...values)
{
    writer to;
    to.array(sizeof...(values));
    (to.add(values), ...);
    return to.take();
}

template <>
struct codec<std::nullptr_t> {
    static void write(writer &to, std::nullptr_t) { to.tagged(0xc0, 0, 0); }
};

template <>
struct codec<bool> {
    static void write(writer &to, bool value) { to.tagged(value ? 0xc3 : 0xc2, 0, 0); }
    static bool read(view from)
    {
        if (from.kind() != kind::boolean) view::refuse("a boolean", from.kind());
        return from.head_of(from.at_).bits != 0;
    }
};

template <class Type>
struct codec<Type, std::enable_if_t<std::is_integral_v<Type> && !std::is_same_v<Type, bool>>> {
    static_assert(sizeof(Type) <= 8, "MessagePack has no longer integers");
    static void write(writer &to, Type value)
    {
        const std::uint64_t bits = static_cast<std::uint64_t>(value); // sign-extended
        if (value < 0) {
            const std::int64_t number = static_cast<std::int64_t>(value);
            if (number >= -32) to.tagged(static_cast<unsigned>(bits & 0xff), 0, 0);
            else if (number >= -0x80) to.tagged(0xd0, bits, 1);
            else if (number >= -0x8000) to.tagged(0xd1, bits, 2);
            else if (number >= -0x80000000LL) to.tagged(0xd2, bits, 4);
            else to.tagged(0xd3, bits, 8);
        } else if (bits <= 0x7f) to.tagged(static_cast<unsigned>(bits), 0, 0);
        else if (bits <= 0xff) to.tagged(0xcc, bits, 1);
        else if (bits <= 0xffff) to.tagged(0xcd, bits, 2);
        else if (bits <= 0xffffffff) to.tagged(0xce, bits, 4);
        else to.tagged(0xcf, bits, 8);
    }
    static Type read(view from)
    {
        if (from.kind() != kind::integer) view::refuse("an integer", from.kind());
        const view::head found = from.head_of(from.at_);
        const Type value = static_cast<Type>(found.bits);
        if ((value < 0) != found.is_negative || static_cast<std::uint64_t>(value) != found.bits)
            throw error(OBHUT_INVALID_ARGUMENT, "the payload's integer " + from.to_json() + " is out of range");
        return value;
    }
};

template <class Type>
struct codec<Type, std::enable_if_t<std::is_floating_point_v<Type>>> {
    static void write(writer &to, Type value)
    {
        const double number = static_cast<double>(value);
        std::uint64_t bits;
        std::memcpy(&bits, &number, sizeof bits);
        to.tagged(0xcb, bits, 8);
    }
    static Type read(view from)
    {
        const view::head found = from.empty() ? view::head{} : from.head_of(from.at_);
        if (found.kind == kind::number) return static_cast<Type>(found.number);
        if (found.kind != kind::integer) view::refuse("a number", found.kind);
        return found.is_negative ? static_cast<Type>(static_cast<std::int64_t>(found.bits)) : static_cast<Type>(found.bits);
    }
};

template <>
struct codec<std::string_view> {
    static void write(writer &to, std::string_view text) { to.text(text); }
    static std::string_view read(view from) { return from.text(); }
};

template <>
struct codec<std::string> {
    static void write(writer &to, const std::string &text) { to.text(text); }
    static std::string read(view from) { return std::string(from.text()); }
};

template <>
struct codec<pid> {
    static void write(writer &to, pid value)
    {
        to.tagged(0xd7, 1, 1); // fixext 8, type 1
        for (unsigned i = 8; i-- > 0;) to.bytes_.push_back(static_cast<unsigned char>(value.native() >> (8 * i)));
    }
    static pid read(view from)
    {
        if (from.kind() != kind::pid) view::refuse("a pid", from.kind());
        return pid(from.head_of(from.at_).bits);
    }
};

template <>
struct codec<view> {
    static void write(writer &to, view value)
    {
        if (value.empty()) to.add(nullptr);
        else to.raw(value.data(), value.size_bytes());
    }
    static view read(view from) { return from; }
};

template <>
struct codec<payload> {
    static void write(writer &to, const payload &value) { codec<view>::write(to, value); }
    static payload read(view from) { return payload(from); }
};

template <class Type>
struct codec<std::optional<Type>> {
    static void write(writer &to, const std::optional<Type> &value)
    {
        if (value) to.add(*value);
        else to.add(nullptr);
    }
    static std::optional<Type> read(view from)
    {
        if (from.is_nil()) return std::nullopt;
        return from.get<Type>();
    }
};

template <class Type, class Allocator>
struct codec<std::vector<Type, Allocator>> {
    static void write(writer &to, const std::vector<Type, Allocator> &values)
    {
        to.array(values.size());
        for (const Type &value : values) to.add(value);
    }
    static std::vector<Type, Allocator> read(view from)
    {
        std::vector<Type, Allocator> values;
        const auto items = from.items();
        values.reserve(from.size());
        for (view item : items) values.push_back(item.get<Type>());
        return values;
    }
};

template <class Type, std::size_t Size>
struct codec<std::array<Type, Size>> {
    static void write(writer &to, const std::array<Type, Size> &values)
    {
        to.array(Size);
        for (const Type &value : values) to.add(value);
    }
    static std::array<Type, Size> read(view from)
    {
        std::array<Type, Size> values{};
        std::size_t index = 0;
        const auto items = from.items();
        if (from.size() != Size) throw error(OBHUT_INVALID_ARGUMENT, "the payload's array has not " + std::to_string(Size) + " elements");
        for (view item : items) values[index++] = item.get<Type>();
        return values;
    }
};

namespace detail {
template <class Map>
struct map_codec {
    static void write(writer &to, const Map &values)
    {
        to.map(values.size());
        for (const auto &[key, value] : values) to.add(key).add(value);
    }
    static Map read(view from)
    {
        Map values;
        for (auto [key, value] : from.entries())
            values.insert_or_assign(key.template get<typename Map::key_type>(), value.template get<typename Map::mapped_type>());
        return values;
    }
};

template <class Tuple>
struct tuple_codec {
    static void write(writer &to, const Tuple &values)
    {
        to.array(std::tuple_size_v<Tuple>);
        std::apply([&to](const auto &...value) { (to.add(value), ...); }, values);
    }
    static Tuple read(view from) { return read(from, std::make_index_sequence<std::tuple_size_v<Tuple>>()); }

private:
    template <std::size_t... Index>
    static Tuple read(view from, std::index_sequence<Index...>)
    {
        (void)from.items();
        if (from.size() != sizeof...(Index))
            throw error(OBHUT_INVALID_ARGUMENT, "the payload's array has not " + std::to_string(sizeof...(Index)) + " elements");
        return Tuple{from[Index].template get<std::tuple_element_t<Index, Tuple>>()...};
    }
};
} // namespace detail

template <class Key, class Value, class Compare, class Allocator>
struct codec<std::map<Key, Value, Compare, Allocator>> : detail::map_codec<std::map<Key, Value, Compare, Allocator>> {};
template <class Key, class Value, class Hash, class Equal, class Allocator>
struct codec<std::unordered_map<Key, Value, Hash, Equal, Allocator>>
    : detail::map_codec<std::unordered_map<Key, Value, Hash, Equal, Allocator>> {};
template <class First, class Second>
struct codec<std::pair<First, Second>> : detail::tuple_codec<std::pair<First, Second>> {};
template <class... Types>
struct codec<std::tuple<Types...>> : detail::tuple_codec<std::tuple<Types...>> {};

// ------------------------------------------------------------------------------------------- Configuration

/// How severe a record of the log is; OBHUT_LOG_….
using log_level = std::int32_t;

/// The settings of a runtime, which keeps what it needs of them. Setters answer the config, to be chained.
class config {
public:
    config() : handle_(obhut_config_new())
    {
        if (!handle_) throw std::bad_alloc();
    }
    obhut_config *native() const noexcept { return handle_.get(); }

    /// Where `print` goes; called on a thread of the library. {}: kept for runtime::read_output.
    config &output(std::function<void(std::string_view text)> sink)
    {
        using function = decltype(sink);
        if (!sink) return check(obhut_config_set_output_sink(native(), nullptr, nullptr, nullptr));
        const auto called = [](void *user, const char *text, std::size_t length) noexcept {
            detail::guarded([&] { (*static_cast<function *>(user))(std::string_view(text, length)); });
        };
        return check(obhut_config_set_output_sink(native(), called, new function(std::move(sink)), &detail::discard<function>));
    }
    /// Where the log goes, a record at a time; called on another thread of the library.
    config &log(std::function<void(log_level level, std::string_view text)> sink)
    {
        using function = decltype(sink);
        if (!sink) return check(obhut_config_set_log_sink(native(), nullptr, nullptr, nullptr));
        const auto called = [](void *user, std::int32_t level, const char *text, std::size_t length) noexcept {
            detail::guarded([&] { (*static_cast<function *>(user))(level, std::string_view(text, length)); });
        };
        return check(obhut_config_set_log_sink(native(), called, new function(std::move(sink)), &detail::discard<function>));
    }
    /// OBHUT_LOG_FORMAT_….
    config &log_format(std::int32_t format) { return check(obhut_config_set_log_format(native(), format)); }
    /// Where Lua's input comes from: fills at most `size` bytes, answers how many; 0 at the end. One that throws cannot
    /// be read (EIO).
    config &input(std::function<std::size_t(char *buffer, std::size_t size)> source)
    {
        using function = decltype(source);
        if (!source) return check(obhut_config_set_input_source(native(), nullptr, nullptr, nullptr));
        const auto called = [](void *user, char *buffer, std::size_t size) noexcept {
            std::int64_t count = -EIO;
            detail::guarded([&] { count = static_cast<std::int64_t>((*static_cast<function *>(user))(buffer, size)); });
            return count;
        };
        return check(obhut_config_set_input_source(native(), called, new function(std::move(source)), &detail::discard<function>));
    }
    /// What `io.args()` answers.
    config &arguments(const std::vector<std::string> &texts)
    {
        const std::vector<const char *> list = pointers(texts);
        return check(obhut_config_set_arguments(native(), list.data(), texts.size()));
    }
    /// The variables that `env` shows, as NAME=value.
    config &environment(const std::vector<std::string> &variables)
    {
        return check(obhut_config_set_environment(native(), pointers(variables).data()));
    }
    /// SIGURG by default; 0: none.
    config &preemption_signal(int number) { return check(obhut_config_set_preemption_signal(native(), number)); }
    config &seed(std::uint64_t value) { return check(obhut_config_set_seed(native(), value)); }
    config &cloning(bool enabled) { return check(obhut_config_set_cloning(native(), enabled ? 1 : 0)); }
    /// Where the program obhut-worker lies; empty: beside the library.
    config &worker(const std::string &path)
    {
        return check(obhut_config_set_worker(native(), path.empty() ? nullptr : path.c_str()));
    }
    /// Shared libraries that applications may use: a soname or an absolute path, with wildcards.
    config &allow_native(const std::string &pattern)
    {
        detail::call(&obhut_config_allow_native, native(), pattern.c_str());
        return *this;
    }
    /// How many crash reports are kept, and how many bytes of them.
    config &crash_reports(std::uint32_t count, std::size_t bytes)
    {
        return check(obhut_config_set_crash_reports(native(), count, bytes));
    }
    /// What they say of messages: how many that were taken, how many that wait, contents up to how many bytes.
    config &crash_messages(std::uint32_t received, std::uint32_t waiting, std::size_t contents)
    {
        return check(obhut_config_set_crash_messages(native(), received, waiting, contents));
    }
    /// What may be shown of a message's contents: none, nothing. Called on the thread of the process that has failed,
    /// several at once; it must not call this library. One that throws shows nothing. {}: the payload as JSON.
    config &crash_redaction(
        std::function<std::optional<std::string>(std::string_view entry, std::string_view topic, view payload)> shown)
    {
        using function = decltype(shown);
        if (!shown) return check(obhut_config_set_crash_redaction(native(), nullptr, nullptr, nullptr));
        const auto called = [](void *user, const char *entry, const char *topic, std::size_t topic_length, const void *payload,
                               std::size_t length, char *text, std::size_t size) noexcept {
            std::int64_t count = -1;
            detail::guarded([&] {
                const std::optional<std::string> found =
                    (*static_cast<function *>(user))(entry, std::string_view(topic, topic_length), view(payload, length));
                if (!found) return;
                std::size_t written = found->copy(text, size);
                // What does not fit is cut between two characters.
                while (written > 0 && written < found->size() && (static_cast<unsigned char>((*found)[written]) & 0xc0) == 0x80) written--;
                count = static_cast<std::int64_t>(written);
            });
            return count;
        };
        return check(obhut_config_set_crash_redaction(native(), called, new function(std::move(shown)), &detail::discard<function>));
    }
    /// Takes each crash report as one line of JSON; called on a thread of the library.
    config &crash_sink(std::function<void(std::string_view json)> sink)
    {
        using function = decltype(sink);
        if (!sink) return check(obhut_config_set_crash_sink(native(), nullptr, nullptr, nullptr));
        const auto called = [](void *user, const char *text, std::size_t length) noexcept {
            detail::guarded([&] { (*static_cast<function *>(user))(std::string_view(text, length)); });
        };
        return check(obhut_config_set_crash_sink(native(), called, new function(std::move(sink)), &detail::discard<function>));
    }

private:
    config &check(obhut_status status)
    {
        detail::check(status);
        return *this;
    }
    static std::vector<const char *> pointers(const std::vector<std::string> &texts)
    {
        std::vector<const char *> list;
        list.reserve(texts.size() + 1);
        for (const std::string &text : texts) list.push_back(text.c_str());
        list.push_back(nullptr);
        return list;
    }

    detail::handle<obhut_config, &obhut_config_free> handle_;
};

// ------------------------------------------------------------------------------------------- Crash reports

/// What was known of a process at its abnormal end. The texts live as long as it does.
class crash {
public:
    /// Takes a handle of obhut.h over.
    explicit crash(obhut_crash *taken) noexcept : handle_(taken) {}
    /// A report from the JSON that json() gave. Throws OBHUT_MALFORMED.
    static crash from_json(std::string_view json)
    {
        obhut_crash *read = nullptr;
        detail::call(&obhut_crash_from_json, json.data() ? json.data() : "", json.size(), &read);
        return crash(read);
    }
    obhut_crash *native() const noexcept { return handle_.get(); }

    /// Its number in its runtime, from 1.
    std::uint64_t sequence() const noexcept { return obhut_crash_sequence(native()); }
    obhut::pid pid() const noexcept { return obhut::pid(obhut_crash_pid(native())); }
    /// The entry that the process ran, and the text of its error; "" if it is not known.
    std::string_view entry() const noexcept { return obhut_crash_entry(native()); }
    std::string_view error() const noexcept { return obhut_crash_error(native()); }
    /// The whole report as lines for people, and as one line of JSON.
    std::string_view text() const noexcept { return whole(&obhut_crash_text); }
    std::string_view json() const noexcept { return whole(&obhut_crash_json); }

private:
    std::string_view whole(decltype(&obhut_crash_text) function) const noexcept
    {
        std::size_t length = 0;
        const char *text = function(native(), &length);
        return {text, length};
    }

    detail::handle<obhut_crash, &obhut_crash_free> handle_;
};

// ---------------------------------------------------------------------------------------------- Inspection

/// A copy of what was found: records, each with texts and numbers by field, OBHUT_INFO_…. The texts live as long as it does.
class info {
public:
    /// Takes a handle of obhut.h over.
    explicit info(obhut_info *taken) noexcept : handle_(taken) {}
    obhut_info *native() const noexcept { return handle_.get(); }

    /// How many records there are.
    std::size_t size() const noexcept { return obhut_info_count(native()); }
    /// A text of record `index`, from 0; "" for a field that it has not.
    std::string_view text(std::size_t index, std::int32_t field) const noexcept { return obhut_info_text(native(), index, field); }
    /// A number of it; -1 for a field that it has not.
    std::int64_t number(std::size_t index, std::int32_t field) const noexcept { return obhut_info_number(native(), index, field); }

private:
    detail::handle<obhut_info, &obhut_info_free> handle_;
};

// ------------------------------------------------------------------------------------------------- Runtime

class message;
class port;

/// Processes, hosts and what starts by itself. Its destructor does not wait: one that still runs is stopped by force on
/// a thread of its own. Call stop() for an orderly end.
class runtime {
public:
    runtime() : runtime(static_cast<const obhut_config *>(nullptr)) {}
    explicit runtime(const config &settings) : runtime(settings.native()) {}
    obhut_runtime *native() const noexcept { return handle_.get(); }

    void load_folder(std::string_view path) { detail::call(&obhut_runtime_load_folder, native(), detail::c_string(path).get()); }
    void load_text(std::string_view yaml) { detail::call(&obhut_runtime_load_text, native(), yaml.data() ? yaml.data() : "", yaml.size()); }
    /// OBHUT_START_ALL or OBHUT_START_HOSTS.
    void start(std::uint32_t flags = OBHUT_START_ALL) { detail::call(&obhut_runtime_start, native(), flags); }
    /// Stops in order and waits; `limit` bounds the polite part: forever, what the application says; at_once, by force.
    void stop(timeout limit = forever) { detail::call(&obhut_runtime_stop, native(), limit.native()); }

    /// What was printed, or logged, and not read yet, when there is no sink.
    std::string read_output() { return read(&obhut_runtime_read_output); }
    std::string read_log() { return read(&obhut_runtime_read_log); }
    obhut_counters counters() const
    {
        obhut_counters figures = OBHUT_COUNTERS_INIT;
        detail::call(&obhut_runtime_counters, native(), &figures);
        return figures;
    }
    /// The process that supervises what started by itself; monitor it to be told when the application has failed.
    pid supervisor() const
    {
        obhut_pid found = 0;
        detail::call(&obhut_runtime_supervisor, native(), &found);
        return pid(found);
    }
    /// How the application has failed; none if it has not.
    std::optional<std::string> failure() const
    {
        char *text = nullptr;
        std::size_t length = 0;
        obhut_error *taken = nullptr;
        const obhut_status status = obhut_runtime_failure(native(), &text, &length, &taken);
        if (status != OBHUT_OK && status != OBHUT_NOT_FOUND) throw error(status, taken);
        obhut_error_free(taken);
        const std::unique_ptr<void, detail::bytes_deleter> owned(text);
        if (status == OBHUT_NOT_FOUND) return std::nullopt;
        return std::string(text, length);
    }
    /// What the application that is loaded means; OBHUT_EXPLAIN_…. `warnings`, if not NULL, gets their number.
    std::string explain(std::int32_t format = OBHUT_EXPLAIN_TEXT, std::size_t *warnings = nullptr) const
    {
        char *text = nullptr;
        std::size_t length = 0;
        detail::call(&obhut_runtime_explain, native(), format, &text, &length, warnings);
        const std::unique_ptr<void, detail::bytes_deleter> owned(text);
        return std::string(text, length);
    }
    /// The oldest crash report that is kept and has a number above `after`; none if there is none.
    std::optional<crash> next_crash(std::uint64_t after = 0) const
    {
        obhut_crash *found = nullptr;
        obhut_error *taken = nullptr;
        const obhut_status status = obhut_runtime_next_crash(native(), after, &found, &taken);
        if (status == OBHUT_OK) return crash(found);
        if (status != OBHUT_NOT_FOUND) throw error(status, taken);
        obhut_error_free(taken);
        return std::nullopt;
    }

    /// Adds a child to a supervisor that runs, and waits until it is ready. `specification`: a map with the fields of a
    /// child in YAML. Throws OBHUT_TIMEOUT, after which it goes on, and OBHUT_FAILED with the child's error.
    pid start_child(pid supervisor, const payload &specification, timeout limit = forever)
    {
        obhut_pid started = 0;
        detail::call(&obhut_supervisor_start_child, native(), supervisor.native(), specification.data(), specification.size_bytes(),
                     limit.native(), &started);
        return pid(started);
    }
    /// Ends a child and waits until it has ended.
    void stop_child(pid supervisor, std::string_view name, timeout limit = forever)
    {
        detail::call(&obhut_supervisor_stop_child, native(), supervisor.native(), detail::c_string(name).get(), limit.native());
    }
    /// Starts a child that has no process, and waits until it is ready.
    pid restart_child(pid supervisor, std::string_view name, timeout limit = forever)
    {
        obhut_pid started = 0;
        detail::call(&obhut_supervisor_restart_child, native(), supervisor.native(), detail::c_string(name).get(), limit.native(),
                     &started);
        return pid(started);
    }
    /// The children of a supervisor, an array of maps, and how many there are, a map: obhut.h lists the fields.
    payload children(pid supervisor, timeout limit = forever) const { return asked(&obhut_supervisor_children, supervisor, limit); }
    payload count_children(pid supervisor, timeout limit = forever) const { return asked(&obhut_supervisor_count, supervisor, limit); }

    /// The text of a pid, "{app:processes|0x00004}".
    std::string text(pid of) const
    {
        char buffer[OBHUT_PID_TEXT_SIZE];
        std::size_t length = 0;
        detail::check(obhut_pid_text(native(), of.native(), buffer, sizeof buffer, &length));
        return std::string(buffer, length);
    }
    /// The process that a pid's text or a registered name stands for; throws OBHUT_NOT_FOUND.
    pid resolve(std::string_view text) const
    {
        obhut_pid found = 0;
        detail::call(&obhut_pid_resolve, native(), detail::c_string(text).get(), &found);
        return pid(found);
    }

    /// Gives a process or port a name; throws OBHUT_WRONG_STATE when another one has it.
    void register_name(std::string_view name, pid who)
    {
        detail::call(&obhut_name_register, native(), detail::c_string(name).get(), who.native());
    }
    /// Takes a name from whoever has it; throws OBHUT_NOT_FOUND.
    void unregister_name(std::string_view name) { detail::call(&obhut_name_unregister, native(), detail::c_string(name).get()); }

    /// Starts a process that nobody watches. `arguments`: obhut::list(…). `host` "": the only one there is.
    pid spawn(std::string_view entry, const payload &arguments = {}, std::string_view host = {})
    {
        obhut_pid started = 0;
        detail::call(&obhut_spawn, native(), detail::c_string(entry).get(), detail::c_string(host).get_or_null(), arguments.data(),
                     arguments.size_bytes(), &started);
        return pid(started);
    }
    /// Sends as nobody. `value`: a payload, a view, or what payload::of takes.
    template <class Type>
    void send(pid to, std::string_view topic, const Type &value)
    {
        const payload encoded = payload::of(value);
        detail::call(&obhut_send, native(), to.native(), detail::c_string(topic).get(), encoded.data(), encoded.size_bytes());
    }
    /// Sends a request and waits for the reply, whose result() says whether it is a value or an error. `limit`: more than 0.
    /// Throws OBHUT_TIMEOUT, and OBHUT_NOT_FOUND when the one asked ends without replying.
    template <class Type>
    message request(pid to, std::string_view topic, const Type &value, timeout limit = forever);
    /// Asks for an orderly end within `limit`, more than 0.
    void cancel(pid who, timeout limit) { detail::call(&obhut_cancel, native(), who.native(), limit.native()); }
    void terminate(pid who) { detail::call(&obhut_terminate, native(), who.native()); }

    /// Has the program run the processes of an entry: each spawn is an OBHUT_MESSAGE_START at `acceptor`, for
    /// message::take_port.
    void define(std::string_view entry, const port &acceptor);
    /// Has `body` run each of them, on a thread that the library makes for it, several at once. It must not move `self`
    /// away, and should return when it receives OBHUT_MESSAGE_CANCEL; when the process was ended by force, self.receive
    /// throws OBHUT_CLOSED, which may leave `body`. When it returns the process has ended, normally unless it said
    /// otherwise (port::end, port::fail); when it throws, the process has failed with what().
    void define(std::string_view entry, std::function<void(port &self, view arguments)> body);

    /// All that live, processes and ports.
    std::vector<pid> pids() const
    {
        std::vector<obhut_pid> found;
        std::size_t count = 0;
        do {
            found.resize(count);
            detail::call(&obhut_runtime_pids, native(), found.data(), found.size(), &count);
        } while (count > found.size()); // more have come meanwhile
        found.resize(count);
        std::vector<pid> all;
        all.reserve(count);
        for (obhut_pid one : found) all.emplace_back(one);
        return all;
    }
    /// A record for each process, host or entry: OBHUT_INFO_OF_….
    obhut::info info(std::int32_t what = OBHUT_INFO_OF_PROCESSES) const
    {
        obhut_info *found = nullptr;
        detail::call(&obhut_runtime_info, native(), what, &found);
        return obhut::info(found);
    }
    /// The one record of a process or port; throws OBHUT_NOT_FOUND.
    obhut::info info(pid of) const
    {
        obhut_info *found = nullptr;
        detail::call(&obhut_process_info, native(), of.native(), &found);
        return obhut::info(found);
    }

private:
    explicit runtime(const obhut_config *settings)
    {
        obhut_runtime *made = nullptr;
        detail::call(&obhut_runtime_create, settings, &made);
        handle_.reset(made);
    }
    payload asked(decltype(&obhut_supervisor_count) function, pid supervisor, timeout limit) const
    {
        void *bytes = nullptr;
        std::size_t size = 0;
        detail::call(function, native(), supervisor.native(), limit.native(), &bytes, &size);
        const std::unique_ptr<void, detail::bytes_deleter> owned(bytes);
        return payload(bytes, size);
    }
    std::string read(decltype(&obhut_runtime_read_log) function)
    {
        char *text = nullptr;
        std::size_t length = 0;
        detail::call(function, native(), &text, &length);
        const std::unique_ptr<void, detail::bytes_deleter> owned(text);
        return text ? std::string(text, length) : std::string();
    }

    detail::handle<obhut_runtime, &obhut_runtime_free> handle_;
};

// ------------------------------------------------------------------------------------------------ Messages

/// How a process ended, or what a reply says. The views live as long as the message.
struct result {
    /// Whether it ended normally; whether the reply is a value.
    bool ok = false;
    /// What it returned or replied, or the error: a string or an error object.
    view value;
    /// The error for people; "" after a normal end.
    std::string_view text;
};

/// A message or event that a port received. One thread at a time.
class message {
public:
    /// Takes a handle of obhut.h over.
    explicit message(obhut_message *taken) noexcept : handle_(taken) {}
    obhut_message *native() const noexcept { return handle_.get(); }

    /// OBHUT_MESSAGE_…. Later versions add kinds.
    std::int32_t kind() const noexcept { return obhut_message_kind(native()); }
    /// Who sent it, or ended.
    pid from() const noexcept { return pid(obhut_message_from(native())); }
    /// "" for an event.
    std::string_view topic() const noexcept
    {
        std::size_t length = 0;
        const char *text = obhut_message_topic(native(), &length);
        return {text, length};
    }
    /// Lives as long as the message; payload::payload(view) copies it. Empty for an event.
    view payload() const noexcept
    {
        std::size_t length = 0;
        const void *bytes = obhut_message_payload(native(), &length);
        return view(bytes, length);
    }
    /// Of an EXIT or LINK_DOWN: how the process ended. Of a REPLY: what it says.
    obhut::result result() const noexcept
    {
        const void *value = nullptr;
        std::size_t length = 0;
        const char *text = nullptr;
        obhut::result ended;
        ended.ok = obhut_message_result(native(), &value, &length, &text);
        ended.value = view(value, length);
        if (text && !ended.ok) ended.text = text;
        return ended;
    }
    /// Of an EXIT or LINK_DOWN: where the failure began, and how many links it travelled.
    pid origin() const noexcept { return pid(obhut_message_origin(native())); }
    std::uint32_t hops() const noexcept { return obhut_message_hops(native()); }
    /// Of a DATA: not 0 if its sender waits for a reply. Of a REPLY: the number that port::request answered.
    std::uint64_t request() const noexcept { return obhut_message_request(native()); }
    /// Of a REPLY: OBHUT_OK, OBHUT_NOT_FOUND (the one asked ended without replying), OBHUT_TIMEOUT.
    obhut_status status() const noexcept { return obhut_message_status(native()); }
    /// Of a CANCEL: when the process is ended by force; none for other messages.
    std::optional<std::chrono::steady_clock::time_point> deadline() const noexcept
    {
        using clock = std::chrono::steady_clock; // CLOCK_MONOTONIC
        const std::int64_t nanoseconds = obhut_message_deadline(native());
        if (nanoseconds == 0) return std::nullopt;
        return clock::time_point(std::chrono::duration_cast<clock::duration>(std::chrono::nanoseconds(nanoseconds)));
    }
    /// Replies to a request, once. `value`: a payload, a view, or what payload::of takes.
    template <class Type>
    void reply(const Type &value)
    {
        const obhut::payload encoded = obhut::payload::of(value);
        detail::call(&obhut_message_reply, native(), encoded.data(), encoded.size_bytes());
    }
    /// Replies with an error: a text, or a payload that is a string or an error object.
    void reply_error(std::string_view text) { detail::call(&obhut_message_reply_error, native(), detail::c_string(text).get()); }
    void reply_error(const obhut::payload &error)
    {
        detail::call(&obhut_message_reply_error_object, native(), error.data(), error.size_bytes());
    }
    /// Takes the port of the new process out of a START, once; throws OBHUT_CLOSED when it has ended meanwhile.
    port take_port();

private:
    detail::handle<obhut_message, &obhut_message_free> handle_;
};

// --------------------------------------------------------------------------------------------------- Ports

/// Flags of port::spawn; `linked | monitored` is both.
inline constexpr std::uint32_t linked = OBHUT_SPAWN_LINKED;
inline constexpr std::uint32_t monitored = OBHUT_SPAWN_MONITORED;

/// A mailbox of the program, with a pid, or the process of an entry that the program runs. It may outlive its runtime: it
/// then throws OBHUT_CLOSED. Its destructor ends it normally, if it has not ended.
class port {
public:
    /// Before the stop of the runtime.
    explicit port(const runtime &of)
    {
        obhut_port *made = nullptr;
        detail::call(&obhut_port_create, of.native(), &made);
        handle_.reset(made);
    }
    /// Takes a handle of obhut.h over.
    explicit port(obhut_port *taken) noexcept : handle_(taken) {}
    obhut_port *native() const noexcept { return handle_.get(); }
    obhut::pid pid() const noexcept { return obhut::pid(obhut_port_pid(native())); }

    /// Starts a process as this port's child; `flags`: linked, monitored, both, 0.
    obhut::pid spawn(std::string_view entry, const payload &arguments = {}, std::uint32_t flags = 0, std::string_view host = {})
    {
        obhut_pid started = 0;
        detail::call(&obhut_port_spawn, native(), detail::c_string(entry).get(), detail::c_string(host).get_or_null(),
                     arguments.data(), arguments.size_bytes(), flags, &started);
        return obhut::pid(started);
    }
    /// Sends from this port: the receiver can answer. `value`: a payload, a view, or what payload::of takes.
    template <class Type>
    void send(obhut::pid to, std::string_view topic, const Type &value)
    {
        const payload encoded = payload::of(value);
        detail::call(&obhut_port_send, native(), to.native(), detail::c_string(topic).get(), encoded.data(), encoded.size_bytes());
    }
    /// Sends a request: exactly one OBHUT_MESSAGE_REPLY will be received for it, whose request() is the number that this
    /// answers. `limit`: more than 0.
    template <class Type>
    std::uint64_t request(obhut::pid to, std::string_view topic, const Type &value, timeout limit = forever)
    {
        const payload encoded = payload::of(value);
        std::uint64_t number = 0;
        detail::call(&obhut_port_request, native(), to.native(), detail::c_string(topic).get(), encoded.data(), encoded.size_bytes(),
                     limit.native(), &number);
        return number;
    }
    void monitor(obhut::pid who) { detail::call(&obhut_port_monitor, native(), who.native()); }
    void unmonitor(obhut::pid who) { detail::call(&obhut_port_unmonitor, native(), who.native()); }
    void link(obhut::pid who) { detail::call(&obhut_port_link, native(), who.native()); }
    void unlink(obhut::pid who) { detail::call(&obhut_port_unlink, native(), who.native()); }

    /// The next message. None: the time has passed, or wake() was called. Throws OBHUT_CLOSED when the runtime was stopped.
    std::optional<message> receive(timeout limit = forever)
    {
        obhut_status why = OBHUT_OK;
        std::optional<message> received = receive(limit, why);
        if (why == OBHUT_CLOSED) throw error(why, nullptr);
        return received;
    }
    /// The same; `why` says what ended the wait: OBHUT_OK, OBHUT_TIMEOUT, OBHUT_INTERRUPTED, OBHUT_CLOSED. Throws the rest.
    std::optional<message> receive(timeout limit, obhut_status &why)
    {
        obhut_message *taken = nullptr;
        obhut_error *failure = nullptr;
        why = obhut_port_receive(native(), limit.native(), &taken, &failure);
        if (why == OBHUT_OK) return message(taken);
        if (why != OBHUT_TIMEOUT && why != OBHUT_INTERRUPTED && why != OBHUT_CLOSED) throw error(why, failure);
        obhut_error_free(failure);
        return std::nullopt;
    }
    /// An eventfd, readable exactly while something can be received: receive(at_once) until none empties it. Not to be
    /// read or closed; take it out of the event loop before the port goes.
    int fd() const noexcept { return obhut_port_fd(native()); }
    /// Ends one wait, the present or the next. May be called in a signal handler, while the port lives.
    void wake() { detail::check(obhut_port_wake(native())); }

    /// Tells the supervisor that the process is ready.
    void ready() { detail::call(&obhut_port_ready, native()); }
    /// What the end of a linked process does: OBHUT_TRAP_LINKS_….
    void trap_links(std::int32_t choice) { detail::call(&obhut_port_trap_links, native(), choice); }
    /// Ends it normally with a value, nil by default, which those who watch it get; it then throws OBHUT_CLOSED.
    void end() { end(nullptr); }
    template <class Type>
    void end(const Type &value)
    {
        const payload encoded = payload::of(value);
        detail::call(&obhut_port_end, native(), encoded.data(), encoded.size_bytes());
    }
    /// Ends it abnormally with an error: a text, or a payload that is a string or an error object. `traceback`, if not "",
    /// goes to the log.
    void fail(std::string_view text, std::string_view traceback = {})
    {
        detail::call(&obhut_port_fail, native(), detail::c_string(text).get(), detail::c_string(traceback).get_or_null());
    }
    void fail(const payload &error, std::string_view traceback = {})
    {
        detail::call(&obhut_port_fail_object, native(), error.data(), error.size_bytes(), detail::c_string(traceback).get_or_null());
    }

private:
    friend class runtime;
    detail::handle<obhut_port, &obhut_port_free> handle_;
};

template <class Type>
message runtime::request(pid to, std::string_view topic, const Type &value, timeout limit)
{
    const payload encoded = payload::of(value);
    obhut_message *reply = nullptr;
    detail::call(&obhut_request, native(), to.native(), detail::c_string(topic).get(), encoded.data(), encoded.size_bytes(),
                 limit.native(), &reply);
    return message(reply);
}

inline void runtime::define(std::string_view entry, const port &acceptor)
{
    detail::call(&obhut_runtime_define, native(), detail::c_string(entry).get(), acceptor.native());
}

inline void runtime::define(std::string_view entry, std::function<void(port &self, view arguments)> body)
{
    using function = decltype(body);
    const detail::c_string id(entry); // may throw, so before `new`
    if (!body) throw error(OBHUT_INVALID_ARGUMENT, "a process needs a function that runs it");
    const auto called = [](void *user, obhut_port *borrowed, const void *arguments, std::size_t length) noexcept {
        port self(borrowed);
        obhut_status told = OBHUT_OK;
        try {
            (*static_cast<function *>(user))(self, view(arguments, length));
        } catch (const std::exception &thrown) {
            told = *thrown.what() ? obhut_port_fail(borrowed, thrown.what(), nullptr, nullptr) : OBHUT_INVALID_ARGUMENT;
        } catch (...) {
            told = OBHUT_INVALID_ARGUMENT;
        }
        // A text that the library refuses, such as one that is not UTF-8, must not make it a normal end.
        if (told == OBHUT_INVALID_ARGUMENT) (void)obhut_port_fail(borrowed, "an exception without a text", nullptr, nullptr);
        (void)self.handle_.release(); // the library's
    };
    detail::call(&obhut_runtime_define_function, native(), id.get(), static_cast<obhut_process_function>(called),
                 static_cast<void *>(new function(std::move(body))), &detail::discard<function>);
}

inline port message::take_port()
{
    obhut_port *taken = nullptr;
    detail::call(&obhut_message_take_port, native(), &taken);
    return port(taken);
}

static_assert(std::is_nothrow_move_constructible_v<runtime> && std::is_nothrow_move_assignable_v<runtime> &&
              std::is_nothrow_move_constructible_v<port> && std::is_nothrow_move_assignable_v<port> &&
              std::is_nothrow_move_constructible_v<message> && std::is_nothrow_move_assignable_v<message> &&
              std::is_nothrow_move_constructible_v<crash> && std::is_nothrow_move_assignable_v<crash> &&
              std::is_nothrow_move_constructible_v<info> && std::is_nothrow_move_assignable_v<info> &&
              std::is_nothrow_move_constructible_v<config> && std::is_nothrow_move_assignable_v<config> &&
              std::is_nothrow_move_constructible_v<payload> && std::is_nothrow_copy_constructible_v<error>);

/// What a shared library offers for entries of kind process.native; it is read, and nothing of it runs. OBHUT_INSPECT_….
inline std::string inspect_plugin(const std::string &path, std::int32_t format = OBHUT_INSPECT_TEXT)
{
    char *text = nullptr;
    std::size_t length = 0;
    detail::call(&obhut_plugin_inspect, path.c_str(), format, &text, &length);
    const std::unique_ptr<void, detail::bytes_deleter> owned(text);
    return std::string(text, length);
}

} // namespace obhut

template <>
struct std::hash<obhut::pid> {
    std::size_t operator()(obhut::pid value) const noexcept { return std::hash<obhut_pid>()(value.native()); }
};

#endif

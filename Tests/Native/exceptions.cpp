/* What is not caught. */
#include <cstdint>
#include <stdexcept>

namespace special {
struct fault : std::exception {
    const char *what() const noexcept override { return "of its own"; }
};
} // namespace special

extern "C" int32_t throw_one(int32_t which)
{
    if (which == 1) throw std::runtime_error("no luck");
    if (which == 2) throw 7;
    if (which == 3) throw special::fault();
    return which;
}

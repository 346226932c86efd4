#pragma once
#include "fuzz/measure/orders.h"

namespace attnfuzz::measure {

/// How a query (batch row, head, place) may be found from another that its numbers are taken from.
struct OtherQuery {
  const char* words;
  bool (*holds)(const Index& own, const Index& other);
};
/// The plainest first.
inline constexpr OtherQuery other_queries[] = {
    {"query head 0",
     [](const Index& a, const Index& b) {
       return b == Index{a[0], 0, a[2]} && a != b;
     }},
    {"batch row 0",
     [](const Index& a, const Index& b) {
       return b == Index{0, a[1], a[2]} && a != b;
     }},
    {"query 0",
     [](const Index& a, const Index& b) {
       return b == Index{a[0], a[1], 0} && a != b;
     }},
    {"the query before",
     [](const Index& a, const Index& b) {
       return b == Index{a[0], a[1], a[2] - 1};
     }},
    {"the query behind",
     [](const Index& a, const Index& b) {
       return b == Index{a[0], a[1], a[2] + 1};
     }},
    {"another query head",
     [](const Index& a, const Index& b) { return a[0] == b[0] && a[2] == b[2] && a != b; }},
    {"another query", [](const Index& a, const Index& b) { return a != b; }},
};

}  // namespace attnfuzz::measure

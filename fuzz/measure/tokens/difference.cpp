#include "fuzz/measure/tokens/difference.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace attnfuzz::measure {

Difference difference(const Plan& plan, const Query& query, const Reading& reading) {
  Difference all;
  const int64_t head = plan.c.problem.kv_head(query.h);
  std::map<size_t, int64_t> times;
  for (const Use& use : reading.uses) times[use.source] += reading.counted ? use.times : 1;
  for (const Key& key : query.keys) {
    const auto found = times.find(key.source);
    if (found == times.end()) {
      all.missing.push_back(place_of(plan, query, key.source));
    } else {
      for (int64_t n = 1; n < found->second; ++n)
        all.foreign.push_back(place_of(plan, query, key.source));
      times.erase(found);
    }
  }
  for (const auto& [source, count] : times) {
    const Place place = place_of(plan, query, source);
    if (place.of == Place::Of::own_row && place.head == head)
      all.hidden.insert(place.place);
    else
      for (int64_t n = 0; n < count; ++n) all.foreign.push_back(place);
  }
  const auto by_position = [](const Place& a, const Place& b) {
    return std::tuple(a.of, a.row, a.head, a.position) <
           std::tuple(b.of, b.row, b.head, b.position);
  };
  std::sort(all.missing.begin(), all.missing.end(), by_position);
  std::sort(all.foreign.begin(), all.foreign.end(), by_position);
  return all;
}

std::string_view kind_of(const Place& place, const Query& query, int64_t head) {
  if (place.of == Place::Of::memory) return "a memory KV more than once";
  if (place.of == Place::Of::padding) return kind_of_padding;
  if (place.of == Place::Of::gone) return "a token that no row holds any more";
  if (place.of == Place::Of::later) return "a token of a later step";
  if (place.row != query.b) return "another row's token";
  return place.head != head ? "another KV head's token" : kind_more;
}

}  // namespace attnfuzz::measure

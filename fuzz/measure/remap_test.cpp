#include "fuzz/measure/remap.h"

#include <gtest/gtest.h>

#include <functional>

namespace attnfuzz::measure {
namespace {

/// A paged cache of two rows, filled by one prefill.
Case paged() {
  Case c;
  c.problem.batch = 2;
  c.problem.num_heads = c.problem.num_kv_heads = 2;
  c.problem.q_len = c.problem.kv_len = 0;
  c.problem.head_dim = c.problem.head_dim_v = 4;
  c.cache = Cache{};
  c.cache->kind = CacheKind::paged;
  c.cache->capacity = 24;
  c.cache->page_size = 4;
  c.steps.resize(1);
  c.steps[0].op = StepOp::prefill;
  c.steps[0].q_len = 12;
  return c;
}

/// What is said where each query takes other(place) for each key from place 4 on.
std::string said(const std::function<Place(Place)>& other) {
  const Plan plan = declared(paged());
  Remap remap;
  for (const Query& query : plan.queries) {
    std::vector<Place> lacks, takes;
    for (const Key& key : query.keys)
      if (key.place >= 4) {
        lacks.push_back(place_of(plan, query, key.source));
        takes.push_back(other(lacks.back()));
      }
    remap.add(plan, query, lacks, takes);
  }
  return remap.words();
}

TEST(Remap, TellsAPageThatIsReadForTheNext) {
  EXPECT_EQ(said([](Place place) {
              place.place -= 4;
              return place;
            }),
            "that of key j − 4");
}

TEST(Remap, TellsAnotherRowAndTheSlotAlone) {
  EXPECT_EQ(said([](Place place) {
              place.row = 0;
              place.place %= 4;
              return place;
            }),
            "that of key j mod (4) of row 0");
}

TEST(Remap, SaysNothingOfNoRule) {
  EXPECT_EQ(said([](Place place) {
              place.place = place.place * place.place * 7 % 11;
              return place;
            }),
            "");
}

}  // namespace
}  // namespace attnfuzz::measure

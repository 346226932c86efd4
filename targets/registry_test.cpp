#include <gtest/gtest.h>

#include <set>

#include "targets/target.h"

namespace attnfuzz {
namespace {

TEST(Registry, EveryBuiltinTargetOpensUnderItsName) {
  std::set<std::string_view> names;
  for (const BuiltinTarget& target : builtin_targets()) {
    EXPECT_TRUE(names.insert(target.name).second) << target.name;
    const auto opened = open_target(std::string(target.name));
    EXPECT_EQ(opened->info().name, target.name);
    EXPECT_FALSE(opened->info().version.empty());
    EXPECT_FALSE(opened->info().about.empty());
  }
  EXPECT_TRUE(names.contains("cpu:naive"));
}

TEST(Registry, UnknownNamesGetNearMatches) {
  try {
    open_target("cpu:naiv");
    FAIL();
  } catch (const InputError& e) {
    EXPECT_NE(std::string(e.what()).find("did you mean 'cpu:naive'?"), std::string::npos);
  }
  EXPECT_THROW(open_target("naive"), InputError);
  EXPECT_THROW(open_target("specimen:no-such-bug"), InputError);
}

}  // namespace
}  // namespace attnfuzz

#include "tools/attnfuzz/relation_options.h"

#include "oracle/suggest.h"

namespace attnfuzz::cli {

void RelationOptions::add(CLI::App& app) {
  app.add_option("--relations", names,
                 "Relations to check passing cases against: all, or names from `attnfuzz "
                 "relations`, separated by commas")
      ->delimiter(',');
}

std::vector<const Relation*> RelationOptions::chosen() const {
  std::vector<const Relation*> all;
  std::vector<std::string> known{"all"};
  for (const Relation& each : relations()) {
    all.push_back(&each);
    known.emplace_back(each.name);
  }
  std::vector<const Relation*> some;
  for (const std::string& each : names) {
    if (each == "all") return all;
    const Relation* relation = find_relation(each);
    if (relation == nullptr)
      throw InputError("--relations", "",
                       "expected all or the name of a relation, found \"" + each + "\"" +
                           did_you_mean(each, known) + " (see: attnfuzz relations)");
    some.push_back(relation);
  }
  return some;
}

}  // namespace attnfuzz::cli

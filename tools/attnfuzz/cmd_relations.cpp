#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "fuzz/relations/relation.h"
#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {
namespace {

void print_json() {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Relation& each : relations())
    list.push_back({{"name", each.name}, {"words", each.words}, {"cause", each.cause}});
  fmt::print("{}\n", list.dump(2));
}

}  // namespace

void add_relations(CLI::App& app, int& exit_code) {
  const auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "Print a JSON list, with the cause of each");
  app.callback([json, &exit_code] {
    if (*json)
      print_json();
    else
      for (const Relation& each : relations()) fmt::print("{:<16} {}\n", each.name, each.words);
    exit_code = nothing_found;
  });
}

}  // namespace attnfuzz::cli

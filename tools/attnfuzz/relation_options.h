#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "fuzz/relations/relation.h"

namespace attnfuzz::cli {

/// The option --relations of `run`, `replay` and `shrink`.
struct RelationOptions {
  void add(CLI::App& app);
  /// Throws InputError for a name that is none.
  std::vector<const Relation*> chosen() const;

  std::vector<std::string> names;
};

}  // namespace attnfuzz::cli

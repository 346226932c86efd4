#pragma once
#include <CLI/CLI.hpp>

/// For an option's check().
namespace attnfuzz::cli {

/// A whole number from 0 on. (CLI11 takes one that is too large for the largest that there is.)
CLI::Validator whole_number();

}  // namespace attnfuzz::cli

#pragma once
#include <string_view>

/// The texts of templates/ and of targets/example, made into sources by the build.
namespace attnfuzz::cli::templates {

extern const std::string_view my_attention_cpp, adapter_py, cache_py, pytest_py, ci_yml;

}  // namespace attnfuzz::cli::templates

#include "tools/attnfuzz/logging.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "oracle/error.h"
#include "targets/notes.h"

namespace attnfuzz::cli {
namespace {

struct Options {
  std::string level = "warning", file;
};

void start(const Options& options) try {
  const auto logger = options.file.empty() ? spdlog::stderr_color_st("attnfuzz")
                                           : spdlog::basic_logger_st("attnfuzz", options.file);
  logger->set_pattern("%Y-%m-%dT%H:%M:%S [%P] %^%l%$: %v");
  logger->set_level(spdlog::level::from_str(options.level));
  logger->flush_on(spdlog::level::trace);  // a killed process has said what it knew
  spdlog::set_default_logger(logger);
  on_note([](const std::string& text) { spdlog::info("{}", text); });
} catch (const spdlog::spdlog_ex& error) {
  throw InputError("--log-file", "",
                   std::string("expected a file that can be written: ") + error.what());
}

}  // namespace

void add_logging(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("--log-level", options->level,
                 "What to log: debug, info, warning, error or off; stands before the subcommand")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
  app.add_option("--log-file", options->file, "File to log to (default: stderr)");
  app.parse_complete_callback([options] { start(*options); });
}

}  // namespace attnfuzz::cli

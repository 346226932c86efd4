#include "targets/serve.h"
#include "targets/target.h"
#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {

void add_worker(CLI::App& app, int& exit_code) {
  const auto target = std::make_shared<std::string>();
  app.add_option("target", *target, "A built-in target or a plug-in's path")->required();
  app.callback([target, &exit_code] {
    try {
      exit_code = serve_worker(*open_target(*target));
    } catch (const InputError& error) {
      serve_missing(error.what());
      exit_code = bad_input;
    }
  });
}

}  // namespace attnfuzz::cli

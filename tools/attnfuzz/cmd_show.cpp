#include <fmt/format.h>

#include "oracle/case_io.h"
#include "reports/show.h"
#include "reports/show_plan.h"
#include "tools/attnfuzz/checks.h"
#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {

void add_show(CLI::App& app, int& exit_code) {
  struct Options {
    std::string file;
    int64_t batch_row = 0, head = 0;
    bool ascii = false, plan = false;
  };
  const auto options = std::make_shared<Options>();
  app.add_option("case", options->file, "The case to show")->required();
  app.add_option("--batch-row", options->batch_row, "Draw the mask of this batch row")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--head", options->head, "Draw the mask of this query head")
      ->check(whole_number())
      ->capture_default_str();
  app.add_flag("--ascii", options->ascii, "Draw with ASCII characters only");
  app.add_flag("--plan", options->plan,
               "Tell what each query reads: tokens, positions, angles, and the keys that it sees");
  app.callback([options, &exit_code] {
    const CaseFile file = read_case(options->file);
    const Problem& p = file.c.problem;
    if (options->batch_row < 0 || options->batch_row >= std::max<int64_t>(p.batch, 1))
      throw InputError("--batch-row", "", fmt::format("expected 0 to {}", p.batch - 1));
    if (options->head < 0 || options->head >= std::max<int64_t>(p.num_heads, 1))
      throw InputError("--head", "", fmt::format("expected 0 to {}", p.num_heads - 1));
    if (!file.about.empty()) fmt::print("{}\n\n", file.about);
    fmt::print("{}\n\n{}\n{}", one_line(file.c), describe(file.c),
               options->plan
                   ? plan_text(file.c)
                   : draw_mask(file.c, options->batch_row, options->head, !options->ascii));
    exit_code = nothing_found;
  });
}

}  // namespace attnfuzz::cli

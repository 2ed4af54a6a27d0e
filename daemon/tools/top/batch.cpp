// Batch mode: a report a look, as text or as a line of JSON.
#include <unistd.h>

#include "base/text.hpp"
#include "tools/top/json.hpp"
#include "tools/top/prober.hpp"
#include "tools/top/run.hpp"
#include "tools/top/sampler.hpp"
#include "tools/top/view.hpp"

namespace pgweir::tools::top {

namespace {

constexpr size_t kColumns = 120;

Colour colour_of(Style style) {
  switch (style) {
    case Style::kGreen: return Colour::kGreen;
    case Style::kYellow: return Colour::kYellow;
    case Style::kRed: return Colour::kRed;
    case Style::kBold:
    case Style::kTitle: return Colour::kBold;
    default: return Colour::kNone;
  }
}

std::string as_text(const Lines& lines, bool colours) {
  std::string out;
  for (const Line& line : lines) {
    if (!colours) {
      out += line.plain();
    } else {
      for (const Span& span : line.spans)
        out += painted(span.text, colour_of(span.style), true);
    }
    out += '\n';
  }
  return out;
}

Sample next_sample(Sampler& sampler) {
  while (true) {
    if (auto sample = sampler.step()) return std::move(*sample);
    wait_for({sampler.wanted()}, sampler.due());
  }
}

// A short wait for what PostgreSQL says: each knock has its limit.
void finish_probes(Prober& prober) {
  while (auto due = prober.due()) {
    wait_for(prober.wanted(), *due);
    prober.step();
  }
}

}  // namespace

Exit run_batch(const Setting& setting, const Messages& messages) {
  const Options& options = setting.options;
  const bool colours = wants_colours(STDOUT_FILENO);
  Model model(setting.thresholds);
  Sampler sampler(setting.target, static_cast<int64_t>(options.interval * 1000));
  Prober prober(setting.target.local);
  for (int at = 0; options.samples == 0 || at < options.samples; ++at) {
    const Sample sample = next_sample(sampler);
    if (at == 0 && !sample.failure.empty()) {
      messages.error(cat("no figures from the console: ", sample.failure));
      return sampler.refused() ? Exit::kServer : Exit::kConnection;
    }
    if (options.probe && sample.failure.empty()) {
      Model glance(setting.thresholds);  // which databases lack a server?
      glance.add(sample);
      prober.look_at(glance.picture());
      finish_probes(prober);
    }
    model.add(sample, prober.results());
    const std::string text =
        options.json ? as_json(setting.ui, model.picture())
                     : cat(at > 0 ? "\n" : "", as_text(report(setting.ui, model.picture(), kColumns), colours));
    if (!messages.print(text)) return Exit::kFile;
  }
  return model.picture().worst() == Level::kRed ? Exit::kDiffers : Exit::kOk;
}

}  // namespace pgweir::tools::top

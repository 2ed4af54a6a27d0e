// What monitors fetch over HTTP: the console's figures, gathered from every worker at each request.
#include "admin/metrics.hpp"
#include "base/text.hpp"
#include "workers/director_impl.hpp"

namespace pgweir::workers {

namespace {

// Of the setting metrics_listen, which has been checked.
std::vector<net::Address> addresses_of(const std::string& setting) {
  std::vector<net::Address> addresses;
  for (const std::string& item : split_names(setting)) {
    const size_t colon = item.rfind(':');
    std::string host = item.substr(0, colon);
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    auto address = net::Address::parse_ip(host, std::stoi(item.substr(colon + 1)));
    if (address) addresses.push_back(*address);
  }
  return addresses;
}

}  // namespace

void DirectorImpl::serve_metrics(const std::string& where) {
  if (where == metrics_at_) return;
  metrics_.reset();  // perhaps the new addresses hold one of the old
  metrics_at_ = where;
  if (where.empty()) return;
  auto server = net::HttpServer::create(*loop_, addresses_of(where),
                                        [this](std::shared_ptr<net::HttpRequest> request) { tell_metrics(request); });
  if (server) {
    metrics_ = server.take();
    log_.log(Event::kListening, cat("metrics at http://", where, "/metrics"));
    return;
  }
  log_.error(Event::kListenFailed,
             cat("metrics_listen: ", server.error().message, "; there are no metrics until it is mended and reloaded"));
}

// Every topic is gathered from the workers, all at the same time; the last one that is there makes the answer.
void DirectorImpl::tell_metrics(const std::shared_ptr<net::HttpRequest>& request) {
  if (request->path() != "/metrics") {
    return request->answer(404, "text/plain; charset=utf-8", "the figures are at /metrics\n");
  }
  const admin::Exposition form = admin::exposition_for(request->header("Accept"));
  struct Fetch {
    std::vector<std::shared_ptr<admin::Job>> jobs;
    size_t due;
  };
  auto fetch = std::make_shared<Fetch>();
  for (std::string_view topic : admin::metric_topics())
    fetch->jobs.push_back(admin::make_show_job(topic));
  fetch->due = fetch->jobs.size();
  auto arrived = [this, fetch, request, form] {
    if (--fetch->due > 0) return;
    admin::Shown shown;
    const admin::Context about = context();
    for (const auto& job : fetch->jobs)
      shown[job->command.argument] = admin::rows_for_metrics(*job, about);
    request->answer(200, admin::content_type(form), admin::metrics_text(shown, form));
  };
  for (const auto& job : fetch->jobs) {
    if (admin::plan(*job) == admin::Where::kWorkers) {
      gather(job, arrived);
    } else {
      arrived();
    }
  }
}

}  // namespace pgweir::workers

// PAM: authenticate, then the account (locked, expired: no). Each prompt for a secret is answered with the password;
// a module that asks for anything else is not answered.
#include "vouch/vouch.hpp"

#include "base/build.hpp"
#include "base/text.hpp"

#ifdef PGWEIR_PAM

#include <security/pam_appl.h>

#include <cstdlib>
#include <cstring>

namespace pgweir::vouch {

namespace {

// What PAM's callbacks work on.
struct Talk {
  const Question& question;
  Verdict& verdict;
};

// libpam frees what it is given.
// NOLINTBEGIN(*-no-malloc, *-owning-memory)
void drop(pam_response* replies, int count) {
  for (int i = 0; i < count; ++i) {
    if (!replies[i].resp) continue;
    explicit_bzero(replies[i].resp, strlen(replies[i].resp));
    free(replies[i].resp);
  }
  free(replies);
}

// The replies are PAM's to free, so they come from malloc.
int answer(int count, const pam_message** messages, pam_response** replies, void* talk_) {
  if (count <= 0 || count > PAM_MAX_NUM_MSG) return PAM_CONV_ERR;
  const ByteView password = static_cast<Talk*>(talk_)->question.password.view();
  auto* made = static_cast<pam_response*>(calloc(static_cast<size_t>(count), sizeof(pam_response)));
  if (!made) return PAM_BUF_ERR;
  for (int i = 0; i < count; ++i) {
    const int style = messages[i]->msg_style;
    if (style == PAM_ERROR_MSG || style == PAM_TEXT_INFO) continue;  // for a person; there is none
    if (style == PAM_PROMPT_ECHO_OFF) made[i].resp = strndup(password.data(), password.size());
    if (made[i].resp) continue;
    drop(made, i);
    return PAM_CONV_ERR;
  }
  *replies = made;
  return PAM_SUCCESS;
}
// NOLINTEND(*-no-malloc, *-owning-memory)

// Instead of libpam's own sleep, which would hold this thread.
void note_delay(int status, unsigned delay, void* talk_) {
  if (status != PAM_SUCCESS) static_cast<Talk*>(talk_)->verdict.pause = std::chrono::microseconds(delay);
}

struct Step {
  const char* name;
  int (*run)(pam_handle_t*, int);
};
constexpr Step kSteps[] = {{"pam_authenticate", pam_authenticate}, {"pam_acct_mgmt", pam_acct_mgmt}};

}  // namespace

Verdict ask_pam(const Question& question) {
  Verdict verdict;
  Talk talk{question, verdict};
  const pam_conv conversation{answer, &talk};
  pam_handle_t* pam = nullptr;
  int status = PAM_SYSTEM_ERR;
  auto failed = [&](const char* step) { verdict.why = cat(step, "() failed: ", pam_strerror(pam, status)); };
  if (question.password.empty() || question.password.view().find('\0') != ByteView::npos) {
    verdict.why = "a password that PAM cannot be asked about";
    return verdict;
  }
  status = pam_start(kPamService, question.user.c_str(), &conversation, &pam);
  if (status != PAM_SUCCESS) {
    failed("pam_start");
    return verdict;
  }
  auto* delay = reinterpret_cast<const void*>(note_delay);
  status = pam_set_item(pam, PAM_RHOST, question.remote_host.c_str());
  if (status == PAM_SUCCESS) status = pam_set_item(pam, PAM_FAIL_DELAY, delay);
  if (status != PAM_SUCCESS) failed("pam_set_item");
  for (const Step& step : kSteps) {
    if (status != PAM_SUCCESS) break;
    status = step.run(pam, PAM_SILENT);
    if (status != PAM_SUCCESS) failed(step.name);
  }
  verdict.accepted = status == PAM_SUCCESS;
  pam_end(pam, status);
  return verdict;
}

}  // namespace pgweir::vouch

#else

namespace pgweir::vouch {

Verdict ask_pam(const Question&) {
  Verdict verdict;
  verdict.why = "this pgweir was built without PAM";
  return verdict;
}

}  // namespace pgweir::vouch

#endif

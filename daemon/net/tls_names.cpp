#include "net/tls_names.hpp"

#include <openssl/x509v3.h>

#include <memory>

#include "net/address.hpp"

namespace pgweir::net {

namespace {

struct FreeNames {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
using Names = std::unique_ptr<GENERAL_NAMES, FreeNames>;

Names alternative_names(X509* certificate) {
  return Names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
}

}  // namespace

std::string certificate_common_name(X509* certificate) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  int at = subject ? X509_NAME_get_index_by_NID(subject, NID_commonName, -1) : -1;
  if (at < 0) return "";
  unsigned char* utf8 = nullptr;
  int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return "";
  std::string name(reinterpret_cast<char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  return name.find('\0') == std::string::npos ? name : "";
}

std::vector<std::string> certificate_dns_names(X509* certificate) {
  std::vector<std::string> out;
  Names names = alternative_names(certificate);
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    const ASN1_IA5STRING* text = name->d.dNSName;
    std::string dns(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                    static_cast<size_t>(ASN1_STRING_length(text)));
    if (dns.find('\0') == std::string::npos) out.push_back(std::move(dns));
  }
  return out;
}

std::string certificate_subject(X509* certificate) {
  BIO* memory = BIO_new(BIO_s_mem());
  if (!memory) return "";
  X509_NAME_print_ex(memory, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  long size = BIO_get_mem_data(memory, &text);
  std::string subject(text, size > 0 ? static_cast<size_t>(size) : 0);
  BIO_free(memory);
  return subject;
}

bool certificate_matches(X509* certificate, const std::string& name) {
  // OpenSSL takes a leading dot for "any subdomain of".
  if (name.empty() || name[0] == '.' || name.find('\0') != std::string::npos) return false;
  if (Address::parse_ip(name, 0)) {
    if (X509_check_ip_asc(certificate, name.c_str(), 0) == 1) return true;
    return !alternative_names(certificate) && certificate_common_name(certificate) == name;
  }
  return X509_check_host(certificate, name.data(), name.size(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, nullptr) == 1;
}

}  // namespace pgweir::net

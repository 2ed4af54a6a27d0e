#include "service/message_ids.hpp"

#include <algorithm>

namespace pgweir::service {

namespace {

using Row = std::pair<std::string_view, std::string_view>;

const std::vector<Row> kIds = {
    {"accept_failed", "a9a1ac88789a4546b68e78f4c0e44125"},
    {"admin_disconnect", "8dd52ef74dac4915b93f053a8c7af1a3"},
    {"answer_mismatch", "3bd9872b2f5d4d7c96a17b67962f463f"},
    {"cancel_done", "dbe39396404e4a84868cb15f46119739"},
    {"cancel_dropped", "aa4a93a6c94b4b37a6efd95cc860c051"},
    {"cancel_failed", "35b5c10a1e5e4867a97b2a2d04092439"},
    {"cancel_wait_timeout", "59eda32b39054b8daf0a8641eba4da88"},
    {"client_bad_header", "acef50231fba430e9d67fdf15c8ad069"},
    {"client_broken_bind", "a436ace87e0c44579e38928a40bb5470"},
    {"client_broken_close", "1fc03d72f1524c6dbdc96a303e60e426"},
    {"client_broken_describe", "babc26c8c9a6421c96196b1839432538"},
    {"client_broken_parse", "d913d0445ab649e1938e567682e9da83"},
    {"client_eof", "5d4f6649f483473fa70f35e8817aebf3"},
    {"client_idle_timeout", "ecff4ad5ef5944969192348a0199b5eb"},
    {"client_login_timeout", "227524f2ef49448396888a4142525410"},
    {"client_login_timeout_server_down", "2be56782c9464dada8d90178d801c955"},
    {"client_socket_error", "0e4c56201e6f49a8b8fc4cc461c34157"},
    {"client_terminate", "4f8239f2d74c471387bef04c6f3bbcba"},
    {"client_tls_failed", "140b1d8f6acf43de9d65b2e614de97e9"},
    {"client_unknown_packet", "0270f939571d427fae0c77f66654a609"},
    {"config_changed", "d1b81bef564f4e9491869da5c2e3bcac"},
    {"connect_query_failed", "688e066e48b34987b92205e84d413c7d"},
    {"console_command", "8c1b221d4cc34b199e8df9f820a953b8"},
    {"console_error", "335c29cd4eeb4123896a15cb87346c55"},
    {"daemon_exit", "445a5b346620431c9a656190a95e07f8"},
    {"database_dropped", "e137fa111aeb4031866ae84f969f7b55"},
    {"database_made", "5d0dcf737eee4991a9a7d92afac1f887"},
    {"database_removed", "0eb6367f07f74071818aa7d4f39681d8"},
    {"descriptors", "a976529db34947cca7a660cd42bfbe2b"},
    {"descriptors_exhausted", "ea2d6f6521174885ad27f666e9ab275f"},
    {"descriptors_few", "f81ab81b88bd4bca9f2c7c7adade6e04"},
    {"draining", "4620783c625e42c69060c20baed08779"},
    {"idle_transaction_timeout", "79404de35e6140ed99363d78ad13c5b9"},
    {"impossible", "8de8e30f19684234b95fcf8b50a07763"},
    {"impossible_state", "496be2c98e954b3ea37ee03017f34345"},
    {"invalid_parameter", "17d35a245c864fecb6805af9df7eb464"},
    {"listen_failed", "a50f9f79f04943fea7eafc550b4e0c39"},
    {"listen_ignored", "816a5876fa7243d29a40c48b10ce395c"},
    {"listening", "b2f48d2e043f439097f43f49ff65f985"},
    {"log_lost", "63a9dbf621a64a1e9f020f8f066cdce8"},
    {"log_repeated", "ba288ffa32714481a78a652e0d00ce1b"},
    {"login_attempt", "03c45c6496904421af008ea67ee910b1"},
    {"login_failed", "d5c903dde1f64ecd94677e4b4da3365f"},
    {"login_failing", "cc949c3903df4214b4e14cca251f4b35"},
    {"login_refused", "28abb33c265e41359aeaacf2c8fea0e9"},
    {"long_wait", "178766c696d84fea82b31996b3f20893"},
    {"needs_restart", "56a58f5b02f3413cb9c332cc04d3fb5f"},
    {"pause_mode", "d2f4aa6d88b44c8dad7189ef5d5940e7"},
    {"pause_or_resume", "eaefe72bd7634a6fb37d5bf36b98b2f2"},
    {"pooler_error", "0f8d31b2a9f44789a0e31eb86b592f69"},
    {"pqexec_disallowed", "16232affd61f4e94ab0a0262561b4c34"},
    {"process_up", "73946066e7e543b68ce2270bcb867e61"},
    {"query_timeout", "893cd0fde8034c4f82fbaf8b60755c4d"},
    {"query_timeout_queued", "969b4f3f6d20421bb3888cdec5df57eb"},
    {"query_wait_timeout", "e7db51dfec6649588a3084d1ff46afb0"},
    {"reload_asked", "edd77a97f7e84532943277792ab2b80c"},
    {"reload_failed", "32d60a0e46744523aa3668f98c1777f7"},
    {"replication_client_closed", "7b1a6dfec23149ad9b1012a9c0a2e071"},
    {"reserve_pool", "d5fec3c89fc7433da403b0357f9bd09c"},
    {"sends", "e0d16835e77c4f92aa43a53fd0dc6c63"},
    {"server_bad_header", "57ea8c7323e8494f992bd9580af9c7e7"},
    {"server_cancel_in_doubt", "71bcd6f2638e42bf8964840a465b0637"},
    {"server_connect_failed", "2ad08383404c463d8206a562bb8d8beb"},
    {"server_connect_timeout", "25f29b7409834f57860d9a27dfed4a0d"},
    {"server_connected", "43455ed57ef64897894af4016f800726"},
    {"server_dns_failed", "a70a6a4e13024b7b88f39e97fa2e544f"},
    {"server_evicted", "ac7979b4698a441f9a9768170aead2bc"},
    {"server_fatal", "3212a42f89534769acfa85b97ddd59b5"},
    {"server_idle_timeout", "5a8e7a486120411081c2454cae4e931c"},
    {"server_lifetime", "2e0088c0447b4d8691b1c5812c81e9f6"},
    {"server_login_failed", "45c7f08af8394058b535f42f58d73c01"},
    {"server_lost", "b9427c3951bf498aa83e932563dcb2b1"},
    {"server_lost_idle", "bfb1242f1b1a4809a0838a7a9959026c"},
    {"server_news", "26ff60a068e1453e81ab6bd3fb480cd4"},
    {"server_not_ready", "ec7a52199086496b9183aa5bb76a8bab"},
    {"server_obsolete", "23a6e004af6444d5becddf15c303a40f"},
    {"server_refused", "19c724e706374f97912ad7d209d61d13"},
    {"server_reset_failed", "7bdf65c2918447b88ce24a2f21a5d77c"},
    {"server_shutting_down", "20b47ef8050149d1ad46b84f8d3dd04f"},
    {"server_stuck", "378e1a0abf4d4a01b95773164f8c0844"},
    {"server_surplus", "4c6b30d6e3a444d7abde8af89a121981"},
    {"server_tls", "89e86066ebc541ffb564db4bd48b3b68"},
    {"server_tls_refused", "eab7f60c165b4ff58985868a83f81b23"},
    {"server_unknown_packet", "9791976124ac4305961cf92ab1430394"},
    {"server_unreachable", "fe75f17fe7514673b5f7bff21f15aff8"},
    {"server_unsolicited", "3bd875dfa64b4ffb9035ae9c5cfc101f"},
    {"settings_problem", "fb5c86b7a061453a8332752a26523609"},
    {"shutdown", "b6f6b3e414cf408985c1667dcc3b4618"},
    {"shutdown_done", "5d102502c5fe42f6830661bf6c0a3a0a"},
    {"shutdown_timeout", "75411b934d854b0fb994c6685ca99c60"},
    {"shutting_down", "2d0bf4f6841446bcabd5b7c99951e622"},
    {"socket_passed", "e80b7251562c4798a1a31042e02b9384"},
    {"start_failed", "638953da5dee410c83c27735e1ac81ab"},
    {"stats", "c549f4918c5b44dfb437248cd910edec"},
    {"suspend_timeout", "0da089b2aef84be4b720ae232f8c12f1"},
    {"suspend_unfit", "5334b5b247c44832a49e3326727d5a71"},
    {"test_orders", "df565e917f404c50a3e34f4130c98ed4"},
    {"transaction_in_statement_mode", "e2ee4d89f304475d9326bffb9ea2c182"},
    {"transaction_timeout", "df3793f2e5ff4a6389cb208d02647e0d"},
    {"unexplained_answer", "ded4afc1dab6428cb314ebc00f117792"},
    {"worker_back", "db880ca66d9945c7836b5e057e09d014"},
    {"worker_silent", "5ef48683bba74beeb6783632c58ac508"},
    {"zone_checked", "601b18b639e84ca3bae4039b146d3050"},
};

}  // namespace

const std::vector<Row>& message_ids() {
  return kIds;
}

std::string_view message_id(std::string_view kind) {
  auto at = std::lower_bound(kIds.begin(), kIds.end(), kind,
                             [](const Row& row, std::string_view name) { return row.first < name; });
  return at != kIds.end() && at->first == kind ? at->second : std::string_view();
}

}  // namespace pgweir::service

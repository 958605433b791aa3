//! Is every refusal what it says: status, problem, headers, record, and the bytes that DCAMS saw?
//!
//! The list below is the whole enum of refusals, each code with its cases. A case that meets another code
//! than the one it stands under fails, and so does a code without a case.

mod beyond;
mod bodies;
mod faults;
mod heads;
mod http2;
mod limits;
pub mod scene;
mod states;
mod unread_heads;

use dcams_gateway::reject;

macro_rules! refusals {
    ($($code:ident: $($module:ident::$case:ident),+;)*) => {
        $($(
            #[test]
            fn $case() {
                assert_eq!($module::$case().code, stringify!($code));
            }
        )+)*
        const CODES: &[&str] = &[$(stringify!($code)),*];
    };
}

refusals! {
    bad_request:
        heads::two_hosts_are_refused,
        heads::a_missing_host_is_refused,
        heads::a_host_that_is_no_host_is_refused,
        heads::a_foreign_host_on_loopback_is_refused,
        heads::an_origin_on_loopback_is_refused,
        heads::http_1_0_is_refused,
        heads::an_absolute_target_is_refused,
        heads::an_asterisk_target_is_refused,
        heads::a_target_beyond_ascii_is_refused,
        heads::an_expectation_that_we_do_not_know_is_refused,
        heads::two_media_types_are_refused,
        heads::two_request_ids_are_refused,
        heads::two_trace_parents_are_refused,
        bodies::a_chunk_of_no_size_is_refused;
    malformed_json:
        bodies::a_body_that_is_no_json_is_refused,
        bodies::an_empty_body_is_refused,
        bodies::an_array_is_refused,
        bodies::text_behind_the_object_is_refused;
    duplicate_member:
        bodies::a_name_twice_is_refused,
        bodies::a_name_twice_in_another_spelling_is_refused;
    too_complex:
        bodies::a_body_nested_too_deeply_is_refused,
        bodies::a_body_of_too_many_members_is_refused;
    credentials_not_allowed:
        bodies::a_body_with_a_user_is_refused,
        bodies::a_body_with_an_escaped_pass_is_refused,
        bodies::a_body_with_a_user_in_another_case_is_refused;
    unknown_service:
        bodies::a_body_without_a_service_is_refused,
        bodies::a_service_of_another_name_is_refused,
        bodies::a_service_that_is_no_string_is_refused;
    unauthenticated:
        heads::no_key_is_refused,
        heads::a_wrong_key_is_refused,
        heads::an_expired_key_is_refused,
        heads::two_keys_are_refused,
        heads::another_scheme_is_refused;
    service_not_permitted:
        bodies::a_service_that_is_not_the_callers_is_refused;
    not_found:
        heads::another_path_is_refused,
        heads::a_query_is_refused,
        heads::a_longer_path_is_refused;
    method_not_allowed:
        heads::get_is_refused,
        heads::put_with_a_body_is_refused;
    body_timeout:
        bodies::a_body_that_does_not_come_is_refused,
        bodies::a_body_slower_than_the_least_rate_is_refused;
    body_too_large:
        bodies::a_promise_of_too_many_bytes_is_refused,
        bodies::chunks_of_too_many_bytes_are_refused,
        bodies::a_body_too_large_for_its_service_is_refused,
        bodies::a_body_larger_than_its_caller_may_hold_is_refused;
    unsupported_media_type:
        heads::no_media_type_is_refused,
        heads::another_media_type_is_refused,
        heads::another_charset_is_refused,
        heads::a_content_encoding_is_refused;
    schema_violation:
        bodies::a_body_that_violates_its_schema_is_refused,
        bodies::an_unknown_member_is_refused_without_its_name;
    rate_limited:
        limits::a_caller_beyond_its_rate_is_refused,
        limits::a_caller_beyond_its_rate_for_a_service_is_refused,
        limits::a_caller_with_too_many_requests_in_progress_is_refused,
        limits::a_caller_with_too_many_bytes_in_memory_is_refused,
        limits::a_request_beyond_the_rate_of_the_account_is_refused;
    internal:
        states::a_gateway_without_descriptors_refuses;
    upstream_unreachable:
        beyond::a_port_where_nobody_listens_is_unreachable,
        beyond::a_connection_reset_at_once_is_unreachable,
        beyond::a_handshake_that_never_ends_is_unreachable;
    upstream_tls:
        beyond::a_certificate_of_another_authority_is_not_trusted,
        beyond::a_certificate_of_another_name_is_not_trusted,
        beyond::an_expired_certificate_is_not_trusted,
        beyond::an_upstream_without_tls_is_not_trusted;
    upstream_invalid:
        beyond::answers_that_are_not_of_the_api_are_invalid,
        beyond::an_invalid_answer_to_a_write_leaves_its_outcome_unknown,
        beyond::an_answer_beyond_the_limit_is_invalid;
    upstream_truncated:
        beyond::answers_that_end_early_are_truncated,
        beyond::a_truncated_answer_to_a_write_leaves_its_outcome_unknown,
        beyond::a_truncated_answer_to_a_second_attempt_is_recorded_as_such;
    upstream_credentials_rejected:
        beyond::rejected_credentials_are_told,
        beyond::credentials_rejected_in_both_versions_are_told;
    response_withheld:
        beyond::answers_with_the_password_are_withheld,
        beyond::a_withheld_answer_to_a_write_leaves_its_outcome_unknown;
    overloaded:
        states::a_gateway_with_too_many_requests_refuses,
        states::a_gateway_with_too_many_bytes_refuses;
    draining:
        states::a_gateway_that_is_stopped_refuses;
    audit_unavailable:
        states::a_gateway_that_cannot_record_refuses;
    credentials_unavailable:
        states::a_gateway_whose_credentials_were_rejected_refuses;
    upstream_suspended:
        states::a_gateway_whose_upstream_failed_too_often_refuses,
        states::a_gateway_that_cannot_reach_its_upstream_refuses_every_caller;
    upstream_timeout:
        beyond::an_upstream_that_does_not_answer_times_out,
        beyond::an_answer_that_drips_times_out,
        beyond::a_write_that_times_out_leaves_its_outcome_unknown;
}

#[test]
fn every_refusal_has_a_case() {
    let codes: Vec<&str> = reject::every().iter().map(reject::Reject::code).collect();
    assert_eq!(CODES, codes);
}

//! The suite that every backend passes: a backend is right when it passes, not when it looks alike.
//!
//! [`contract_tests!`](crate::contract_tests) makes one test of each property. A property gets a store of its own,
//! empty, and moves time by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "this is a test suite, it fails by panicking"
)]
#![allow(clippy::similar_names, clippy::must_use_candidate, reason = "a story is told about a store")]

mod account;
mod claims;
mod clients;
mod connections;
mod feed;
mod forgetful;
mod links;
mod live;
mod people;
mod rotation;
mod second_factors;
mod single_use;
mod story;
mod twice;

pub use account::*;
pub use claims::*;
pub use clients::*;
pub use connections::*;
pub use feed::*;
pub use forgetful::Forgetful;
pub use links::*;
pub use live::*;
pub use people::*;
pub use rotation::*;
pub use second_factors::*;
pub use single_use::*;
pub use story::{Story, minutes, seconds};
pub use twice::*;

/// One `#[tokio::test]` per property. `$make` is an expression that gives an empty store (`Arc<dyn Store>`) and
/// something that is kept until the test ends, such as its folder.
#[macro_export]
macro_rules! contract_tests {
    ($make:expr) => {
        $crate::contract_tests! { @each $make;
            t_04_as_110_b_03_sixty_four_redemptions_of_a_code_open_one_grant
            t_20_as_141_b_11_sixty_four_refreshes_with_one_token_have_one_successor
            as_110_sixty_four_revocations_have_one_doer_and_one_ticket
            sixty_four_set_ups_make_one_account
            sixty_four_first_keys_leave_one
            sixty_four_root_secrets_are_one
            a_code_is_replayed_a_page_sent_twice_is_not
            an_id_of_somebody_else_is_an_internal_error_and_no_replay
            as_143_a_lost_answer_is_healed_after_a_second_five_minutes_and_eight_hours
            as_140_b_09_only_a_retired_token_is_reuse
            as_140_a_thief_with_the_predecessor_is_caught_at_the_next_refresh_of_the_owner
            as_143_strict_windows_honour_no_predecessor
            as_143_the_second_window_ends
            as_139_the_live_token_moves_on_in_one_write_that_may_be_run_twice
            as_137_as_146_as_147_each_term_of_a_live_rotation_is_a_condition
            t_20_as_141_sixty_four_live_rotations_with_one_token_have_one_winner
            a_store_that_went_back_moves_forward
            generations_end_at_the_top
            revocation_wins_over_refresh
            sixty_four_refreshes_race_a_revocation_and_none_succeeds_after_it
            an_epoch_raised_between_consent_and_redemption_opens_nothing
            a_disabled_person_opens_nothing
            a_poller_of_the_feed_misses_nothing_and_tickets_have_no_gaps
            a_page_of_the_feed_is_bounded_and_says_where_the_counter_is
            as_153_a_token_without_a_row_is_revoked_by_its_entry
            the_account_page_shows_live_grants_newest_first_and_goes_on
            a_grant_remembers_where_it_was_used_last
            the_grants_of_one_installation_are_found_and_no_others
            who_holds_many_grants_learns_which_was_unused_longest
            a_person_sees_and_ends_their_own_browsers_only
            the_sweep_removes_what_is_over_and_nothing_else
            as_220_the_sweep_removes_grants_that_ended_by_themselves
            as_220_the_sweep_forgets_documents_that_no_grant_needs
            as_207_a_grant_is_live_until_it_is_revoked_or_withdrawn
            set_up_is_closed_for_ever_by_the_first_account
            a_setup_code_that_is_wrong_late_or_replaced_makes_nobody
            as_185_as_227_a_removed_account_leaves_nothing_that_works
            as_227_ending_everything_of_a_person_or_a_client_is_one_entry
            sessions_of_an_old_epoch_are_void
            an_invitation_is_good_once_and_signs_out_everywhere
            t_21_a_one_time_code_is_taken_away_unless_it_is_the_one_to_keep
            sixty_four_uses_of_an_invitation_have_one_winner
            an_account_is_made_once_and_disabled_for_good
            attempts_are_counted_in_a_window
            sixty_four_guesses_at_once_are_counted_one_by_one
            every_write_run_twice_converges
            documents_and_keys_are_kept_as_given
            t_27_sixty_four_uses_of_an_assertion_pay_for_one_write
            as_119_a_refusal_burns_no_assertion_and_a_second_run_is_no_second_use
            as_136_blocks_and_clients_of_operators_are_in_the_feed
            m12_a_document_that_is_gone_suspends_an_hour_later_and_returns
            as_186_sixty_four_rotations_make_one_key_and_the_last_stays
            as_187_t_49_sixty_four_resealings_change_a_key_once
            as_178_a_typed_code_meets_its_device_and_waits_for_a_word
            as_178_two_devices_or_two_people_spoil_a_code
            as_178_sixty_four_devices_at_one_code_get_nothing
            t_29_as_178_sixty_four_codes_at_once_are_counted_one_by_one
            as_220_the_sweep_forgets_typed_codes
            rs_061_a_connection_belongs_to_one_person
            rs_061_as_185_connections_go_with_their_person
            as_187_connections_are_found_by_the_key_that_they_are_sealed_under
            rs_061_c13_sixty_four_renewals_have_one_winner
            as_214_a_subject_of_an_issuer_is_one_person
            as_214_an_account_and_its_link_are_made_together
            as_214_as_185_links_go_with_their_person
            as_151_sixty_four_who_ask_again_have_one_winner
            as_214_as_151_a_providers_word_ends_everything_once
            as_097_t_17_no_session_that_has_not_passed_the_second_factor
            as_097_t_17_sign_ins_race_a_second_factor_and_none_is_left_without_it
            as_097_a_person_has_one_second_factor
            as_097_sixty_four_uses_of_a_code_have_one_winner
            as_097_sixty_four_uses_of_a_recovery_code_have_one_winner
            as_097_t_29_wrong_codes_are_counted_in_a_window
            as_187_second_factors_are_found_by_the_key_that_they_are_sealed_under
            a_closed_store_takes_no_more
        }
    };
    (@each $make:expr; $($name:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $name() {
            let (store, keep) = $make;
            $crate::contract::$name(store).await;
            drop(keep);
        }
    )+};
}

//! PostgreSQL crashes under two nodes that are used, and comes back.

use super::{
    crowd::{Answers, Crowd, is_away_page},
    node::Node,
    person::{self, Person},
    two_nodes::Pair,
};
use hallpass_testkit::postgres::Cluster;

#[test]
fn as_218_t_97_t_21_p23_a_database_that_crashes_under_two_nodes_loses_nothing_and_they_go_on_by_themselves() {
    let mut pair = Pair::on(Cluster::private());
    let [one, two] = pair.ports;
    let person = Person::set_up(one, &pair.link);
    let crowd = Crowd::over(&pair.ports, &person::register(two), &person);
    for _ in 0..3 {
        crowd.more(Answers::Good, 150);
        pair.cluster.stop();
        crowd.more(Answers::Away, 20);
        is_away_page(&Person::sign_in(two));
        pair.cluster.start();
    }
    crowd.more(Answers::Good, 150);
    crowd.nothing_lost_nothing_twice();
    Person::signed_in(one, two);
    assert!(pair.nodes.drain(..).all(Node::stop));
}

//! Seats: how many requests of one caller are worked on at once. The others wait for theirs, within
//! the time that a request has, so that nobody's many requests keep a cut from being ordered. A cut
//! itself waits for no seat.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::core::lifecycle::Actor;

/// Requests of one customer, by whichever of its tokens, that are worked on at once.
const OF_CUSTOMER: usize = 4;
/// Requests of one of the provider's persons that are worked on at once.
const OF_PROVIDER: usize = 8;

/// The seats of everybody who has one.
#[derive(Debug, Clone)]
pub struct Seats {
    of_customer: usize,
    of_provider: usize,
    taken: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

impl Default for Seats {
    fn default() -> Self {
        Self::new(OF_CUSTOMER, OF_PROVIDER)
    }
}

impl Seats {
    /// So many seats for each customer, and for each of the provider's persons.
    pub(super) fn new(of_customer: usize, of_provider: usize) -> Self {
        Self { of_customer, of_provider, taken: Arc::default() }
    }

    /// A seat, until it is dropped; waits for one.
    pub(super) async fn take(&self, actor: &Actor) -> Option<OwnedSemaphorePermit> {
        // Only a closed semaphore gives none, and none is ever closed.
        self.of(actor).acquire_owned().await.ok()
    }

    fn of(&self, actor: &Actor) -> Arc<Semaphore> {
        let (who, seats) = match &actor.customer {
            Some(customer) => (format!("customer\0{customer}"), self.of_customer),
            None => (format!("{}\0{}", actor.role.as_str(), actor.name), self.of_provider),
        };
        let mut all = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        // Whose requests are all answered is forgotten.
        all.retain(|_, seats| Arc::strong_count(seats) > 1);
        all.entry(who).or_insert_with(|| Arc::new(Semaphore::new(seats))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::lifecycle::Role;

    fn actor(role: Role, name: &str, customer: Option<&str>) -> Actor {
        Actor { name: name.to_owned(), role, customer: customer.map(str::to_owned) }
    }

    #[tokio::test]
    async fn a_customers_requests_wait_for_each_other_and_for_nobody_elses() {
        let seats = Seats::default();
        let [li, zhang] = ["li", "zhang"].map(|name| actor(Role::Customer, name, Some("bureau")));
        let mut taken = Vec::new();
        for _ in 0..OF_CUSTOMER {
            taken.push(seats.take(&li).await.expect("a seat"));
        }
        let wait = std::time::Duration::from_millis(20);
        let waiting = tokio::time::timeout(wait, seats.take(&zhang)).await;
        assert!(waiting.is_err(), "another token of the same customer waits");
        let _ = seats.take(&actor(Role::Customer, "li", Some("archive"))).await.expect("another's");
        let _ = seats.take(&actor(Role::Operator, "li", None)).await.expect("the provider's");
        taken.pop();
        taken.push(seats.take(&zhang).await.expect("one was given back"));
        drop(taken);
        let _ = seats.take(&li).await.expect("a seat");
        seats.of(&actor(Role::Operator, "sun", None));
        assert!(seats.taken.lock().expect("no panic").len() <= 2, "who left is forgotten");
    }
}

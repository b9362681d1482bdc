//! What must always be.

use crate::steps::{Quorum, Releases};
use crate::world::{Client, Fault, World};
use stateright::Property;

/// No two holders are told of one token.
pub const UNIQUE: &str = "each holder has a token of its own";
/// Whatever the clocks say.
pub const ABOVE: &str = "a token is above those told before its attempt began";
/// While no lease ends early.
pub const RISES: &str = "tokens rise from holder to holder";
/// While no lease ends early.
pub const ALONE: &str = "at most one attempt may use the lock";
/// Where all requests are carried out.
pub const NOTHING_LEFT: &str = "nothing is held for an attempt that is over";

pub fn properties() -> Vec<Property<Quorum>> {
    vec![
        Property::always(UNIQUE, |_, it: &World| it.fault != Some(Fault::Twice)),
        Property::always(ABOVE, |_, it: &World| {
            it.fault != Some(Fault::NotAboveTheEarlier)
        }),
        Property::always(RISES, |_, it: &World| it.fault != Some(Fault::Fell)),
        Property::always(ALONE, is_alone),
        Property::always(NOTHING_LEFT, is_nothing_left),
    ]
}

fn is_alone(model: &Quorum, world: &World) -> bool {
    let now = world.now();
    let valid = world.clients.iter().filter(|it| it.is_valid(now));
    !model.is_timed() || valid.count() < 2
}

fn is_nothing_left(model: &Quorum, world: &World) -> bool {
    let is_asked = model.size.releases == Releases::AreSent;
    let mut places = world.places.iter();
    !is_asked
        || places.all(|place| {
            let owner = place.server.hold.map(|hold| usize::from(hold.owner));
            owner.is_none_or(|owner| {
                world.clients[owner] != Client::Over || !place.links[owner].requests.is_empty()
            })
        })
}

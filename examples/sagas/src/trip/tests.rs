//! What the trip does about each input.

use uno::{core::ProcessStatus, testkit::GivenSaga};

use super::*;

/// Flight and hotel are booked, and the car is asked for.
fn booked() -> GivenSaga<Trip> {
    GivenSaga::new()
        .event(TripAsked {
            trip: 7,
            town: "Rome".into(),
        })
        .expect_outputs(Outputs::send(BookFlight { trip: 7 }).undo(CancelFlight { trip: 7 }))
        .succeeded::<BookFlight>()
        .expect_outputs(Outputs::send(BookHotel { trip: 7 }).undo(CancelHotel { trip: 7 }))
        .succeeded::<BookHotel>()
        .expect_sent([RentCar {
            trip: 7,
            town: "Rome".into(),
        }])
}

#[test]
fn it_is_all_or_none() {
    booked()
        .succeeded::<RentCar>()
        .expect_nothing_sent()
        .expect_status(ProcessStatus::Completed);
    booked()
        .rejected::<RentCar>("there are no cars left")
        .expect_sent([CancelHotel { trip: 7 }])
        .succeeded::<CancelHotel>()
        .expect_sent([CancelFlight { trip: 7 }])
        .expect_status(ProcessStatus::Compensating)
        .succeeded::<CancelFlight>()
        .expect_status(ProcessStatus::Compensated);
}

#[test]
fn a_hotel_that_does_not_answer_is_cancelled_in_case_it_was_booked() {
    GivenSaga::<Trip>::new()
        .event(TripAsked {
            trip: 7,
            town: "Rome".into(),
        })
        .expect_sent([BookFlight { trip: 7 }])
        .succeeded::<BookFlight>()
        .expect_sent([BookHotel { trip: 7 }])
        .gave_up::<BookHotel>("there is no answer")
        .expect_sent([CancelHotel { trip: 7 }]);
}

#[test]
fn what_can_not_be_cancelled_waits_for_a_person_and_nothing_is_forgotten() {
    booked()
        .rejected::<RentCar>("there are no cars left")
        .expect_sent([CancelHotel { trip: 7 }])
        .gave_up::<CancelHotel>("there is no answer")
        .expect_nothing_sent()
        .expect_status(ProcessStatus::Stuck);
}

/** A place with 1,000 inhabitants or more, from GeoNames. */
export interface Place {
  cityId: number;
  name: string;
  altName: string;
  /** ISO 3166, two letters. */
  country: string;
  /** GeoNames: "PPL" a populated place, "PPLC" the capital of a country, … */
  featureCode: string;
  adminCode: string;
  population: number;
  loc: { type: "Point"; coordinates: [longitude: number, latitude: number] };
}

declare const places: Place[];
export default places;
